import { html } from '../html.ts';
import { tokenField, type FormFault, type PageContent } from './layout.ts';

export function signInPage(
  names: readonly string[],
  token: string,
  fault: FormFault | null = null,
): PageContent {
  return {
    title: 'Sign in',
    at: null,
    fault,
    body:
      names.length === 0
        ? html`<p>
            The agreement names no custodian. Make a key with <code>concordat agent custodian NAME</code>, and
            name it under <code>custodians</code>.
          </p>`
        : html`<p>Your passphrase opens your key, here and for this session only.</p>
            <form method="post" action="/sign-in" class="sign-in">
              ${tokenField(token)}
              <p>
                <label for="name">Custodian</label
                ><select id="name" name="name" autocomplete="username" required>
                  ${names.map((name) => html`<option value="${name}">${name}</option>`)}
                </select>
              </p>
              <p>
                <label for="passphrase">Passphrase</label
                ><input
                  type="password"
                  id="passphrase"
                  name="passphrase"
                  autocomplete="current-password"
                  required
                  maxlength="1000"
                />
              </p>
              <button>Sign in</button>
            </form>`,
  };
}

/** What cannot be shown, and why. */
export function faultPage(title: string, message: string): PageContent {
  return {
    title,
    at: null,
    body: html`<p>${message}</p>
      <p><a href="/">Go to the overview</a></p>`,
  };
}
