import { html } from './html.ts';
import { prose, tokenField, type FormFault, type PageContent } from './layout.ts';
import type { SignIn } from './sign-in.ts';

export function signInPage(signIn: SignIn, token: string, fault: FormFault | null): PageContent {
  const accounts = signIn.accounts();
  const { message, remedy } = signIn.noAccount;
  return {
    title: 'Sign in',
    at: null,
    fault,
    body:
      accounts.length === 0
        ? html`<p>${prose(message)} ${prose(remedy ?? '')}</p>`
        : html`<p>Your passphrase opens your key, here and for this session only.</p>
            <form method="post" action="/sign-in" class="sign-in">
              ${tokenField(token)}
              <p>
                <label for="name">Name</label
                ><select id="name" name="name" autocomplete="username" required>
                  ${accounts.map(
                    ({ name, role }) =>
                      html`<option value="${name}">
                        ${name}${role === 'auditor' ? ' (auditor)' : null}
                      </option>`,
                  )}
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
