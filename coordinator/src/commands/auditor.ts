/** `coordinator auditor`: a key for who may read on the coordinator's page. A coordinator that runs sees it at once. */
import { newPassphrase } from '@concordat/web/passphrase.ts';
import { makeSealedKey } from '@concordat/web/sealed-keys.ts';

import { auditorsFolder, parseCoordinatorConfig } from '../config.ts';
import { readText } from '../process.ts';

export async function makeAuditor(
  name: string,
  { config: file, passphraseFile }: { readonly config: string; readonly passphraseFile?: string },
): Promise<void> {
  const config = parseCoordinatorConfig(readText(file, 'config/invalid'), file);
  const folder = auditorsFolder(config);
  const { publicKey } = await makeSealedKey(folder, name, await newPassphrase(name, passphraseFile));
  process.stdout.write(
    [
      `${name} may read on the coordinator's page, and nothing else, with the key ${publicKey}`,
      `the key itself is in ${folder}, sealed with the passphrase, which nobody can recover; its file taken away, ${name} is signed out`,
      ...(config.audit_page === undefined
        ? [`next: add a line \`audit_page: {listen: 127.0.0.1:8481}\` to ${file}`]
        : []),
      '',
    ].join('\n'),
  );
}
