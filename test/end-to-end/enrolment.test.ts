/** Enrolment over real connections, with injected clocks: every refusal has its code, and renewal overlaps. */
import assert from 'node:assert/strict';
import 'reflect-metadata';
import { createPublicKey, KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { after, before, mock, test } from 'node:test';
import { issue, newAuthority } from '@concordat/coordinator/sites/certificates.ts';
import { dialer } from '@concordat/node-agent/egress/dial.ts';
import { requestCertificate } from '@concordat/node-agent/egress/enrol.ts';
import { readTls } from '@concordat/node-agent/identity/files.ts';
import { newSigningKey, newTlsKey, openKey } from '@concordat/node-agent/identity/keys.ts';
import { keepCertificate, renewalPause } from '@concordat/node-agent/identity/renewal.ts';
import type { ExchangeClient } from '@concordat/node-agent/egress/client.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { ENROL_PATH } from '@concordat/shared/wire/enrolment.ts';
import { generateSigningKey, signingIdentity, signMessage } from '@concordat/shared/wire/signing.ts';
import { X509CertificateGenerator } from '@peculiar/x509';
import { codeOf, Consortium, DAY, pairIn } from './enrolling.ts';
import { newFolder } from './federation.ts';
import { call, frame, request } from './raw.ts';

let consortium: Consortium;
before(async () => {
  consortium = await Consortium.start();
});
after(() => consortium.stop());

// The library's own declaration of Crypto is the browser's; Node's implementation is the same interface.
const provider = webcrypto as unknown as Parameters<typeof X509CertificateGenerator.createSelfSigned>[1];
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

test('an invitation gives a certificate for keys that were made on the spot, and the site is admitted with it', async () => {
  const dir = newFolder();
  const { certificate, identity } = await consortium.join(consortium.invite('JOINS'), dir);
  const x509 = new X509Certificate(certificate);
  assert.equal(x509.subject, 'CN=JOINS');
  assert.equal(x509.validToDate.getTime(), Math.floor((consortium.started + 30 * DAY) / 1000) * 1000);
  assert.equal(await consortium.exchange(pairIn(dir)), 'ok');
  assert.deepEqual(consortium.registry.site('JOINS')?.key, identity.publicKey);
  for (const name of readdirSync(dir).filter((entry) => statSync(join(dir, entry)).isFile()))
    assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name);
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  assert.ok(!existsSync(join(dir, 'join.pending')));
  assert.equal(await codeOf(consortium.join(consortium.invite('ELSE'), dir)), 'enrolment/exists');
});

test('used again: by the same keys it gives the same certificate, by others nothing', async () => {
  const invitation = consortium.invite('TWICE');
  const dir = newFolder();
  const first = await consortium.join(invitation, dir);
  // As a join that died before it had written its certificate.
  for (const name of ['agent.yaml', 'site.crt']) renameSync(join(dir, name), join(dir, `${name}.lost`));
  writeFileSync(join(dir, 'join.pending'), `${toHex(invitation.id)}\n`);
  const second = await consortium.join(invitation, dir);
  assert.equal(second.certificate, first.certificate);
  assert.equal(consortium.decisions.filter((decision) => decision === 'TWICE enrolled').length, 1);
  assert.equal(await codeOf(consortium.join(invitation, newFolder())), 'enrolment/used');
});

test('used again after the invitation’s expiry: the same certificate as long as it is good, and never another', async () => {
  const invitation = consortium.invite('AGAIN');
  const dir = newFolder();
  const first = await consortium.join(invitation, dir);
  const joinAgain = (): ReturnType<Consortium['join']> => {
    for (const name of ['agent.yaml', 'site.crt'])
      if (existsSync(join(dir, name))) renameSync(join(dir, name), join(dir, `${name}.lost`));
    writeFileSync(join(dir, 'join.pending'), `${toHex(invitation.id)}\n`);
    return consortium.join(invitation, dir);
  };
  consortium.clock = 8 * DAY;
  assert.equal((await joinAgain()).certificate, first.certificate);
  consortium.clock = 31 * DAY;
  assert.equal(await codeOf(joinAgain()), 'enrolment/expired');
  consortium.clock = 0;
});

test('a site that is revoked while its certificate is made gets none, also when it is invited again', async () => {
  const { registry } = consortium;
  const [first, second] = [newFolder(), newFolder()];
  const claim = registry.claim.bind(registry);
  const claimed = mock.method(registry, 'claim', (...args: Parameters<typeof claim>) => {
    const site = claim(...args);
    registry.revoke('RACES', consortium.now().getTime());
    return site;
  });
  const invitation = consortium.invite('RACES');
  assert.equal(await codeOf(consortium.join(invitation, first)), 'enrolment/revoked');
  claimed.mock.restore();
  await consortium.join(consortium.invite('RACES'), second);
  assert.equal(await consortium.exchange(pairIn(second)), 'ok');
  assert.equal(await codeOf(consortium.join(invitation, first)), 'enrolment/revoked');
  assert.equal(consortium.decisions.filter((decision) => decision === 'RACES enrolled').length, 1);
});

test('a join whose answer was lost, then revoked and invited again: it makes new keys in the same folder', async () => {
  const dir = newFolder();
  const invitation = consortium.invite('LOST');
  const first = await consortium.join(invitation, dir);
  // As a join that died before it had written its certificate.
  for (const name of ['agent.yaml', 'site.crt']) rmSync(join(dir, name));
  writeFileSync(join(dir, 'join.pending'), `${toHex(invitation.id)}\n`);
  consortium.registry.revoke('LOST', consortium.now().getTime());
  const second = await consortium.join(consortium.invite('LOST'), dir);
  assert.notDeepEqual(second.identity.publicKey, first.identity.publicKey);
  assert.equal(await consortium.exchange(pairIn(dir)), 'ok');
});

test('an invitation that is expired, unknown, of another study, or of a site that is listed', async () => {
  const dir = newFolder();
  const late = consortium.invite('LATE');
  consortium.clock = 7 * DAY + 1;
  assert.equal(await codeOf(consortium.join(late, dir)), 'enrolment/expired');
  consortium.clock = 0;
  assert.ok(existsSync(join(dir, 'join.pending')));
  assert.equal(
    await codeOf(consortium.join({ ...late, secret: new Uint8Array(32) }, dir)),
    'enrolment/invitation',
  );
  assert.equal(
    await codeOf(consortium.join({ ...late, id: new Uint8Array(16) }, dir)),
    'enrolment/invitation',
  );
  assert.equal(await codeOf(consortium.join({ ...late, study: 'EARLY' }, dir)), 'enrolment/wrong-site');
  assert.equal(await codeOf(consortium.join({ ...late, study: 'LISTED' }, newFolder())), 'wire/identity');
  // What was turned away has used nothing up.
  assert.equal(await codeOf(consortium.join(late, dir)), 'ok');
});

test('another authority, or another host name, than the invitation’s is interception; nothing is sent to it', async () => {
  const attempts = consortium.refusals.length;
  const invitation = consortium.invite('WARY', { authority: new Uint8Array(32) });
  await assert.rejects(consortium.join(invitation, newFolder()), {
    code: 'network/intercepted',
    message: /issued by CN=Test authority/,
  });
  const localhost = { address: consortium.address.replace('127.0.0.1', 'localhost') };
  const other = consortium.invite('WARY', localhost);
  assert.equal(await codeOf(consortium.join(other, newFolder())), 'network/intercepted');
  assert.equal(consortium.refusals.length, attempts);
  assert.equal(consortium.registry.site('WARY'), null);
});

test('clocks more than five minutes apart are said to be so, and the join goes on when they are set', async () => {
  const dir = newFolder();
  const invitation = consortium.invite('SKEWED');
  for (const clock of [6 * 60_000, -6 * 60_000, -DAY, 400 * DAY])
    assert.equal(await codeOf(consortium.join(invitation, dir, { clock })), 'network/clock');
  assert.equal(await codeOf(consortium.join(invitation, dir, { clock: 4 * 60_000 })), 'ok');
  // The coordinator's own clock, set back: the certificate is not valid yet.
  consortium.clock = -2 * 60 * 60_000;
  assert.equal(await consortium.exchange(pairIn(dir)), 'network/clock');
  consortium.clock = 30 * DAY + 1000;
  assert.equal(await consortium.exchange(pairIn(dir)), 'enrolment/expired');
  consortium.clock = 0;
});

test('revoked: the next call is refused, new keys can be invited, and the old ones stay out', async () => {
  const [first, second] = [newFolder(), newFolder()];
  await consortium.join(consortium.invite('LEAVES'), first);
  consortium.registry.revoke('LEAVES', consortium.now().getTime());
  assert.equal(await consortium.exchange(pairIn(first)), 'enrolment/revoked');
  await consortium.join(consortium.invite('LEAVES'), second);
  assert.equal(await consortium.exchange(pairIn(second)), 'ok');
  assert.equal(await consortium.exchange(pairIn(first)), 'enrolment/revoked');
});

test('a site that sends what another enrolled site signed is told that it is the wrong one', async () => {
  const dirs = [newFolder(), newFolder()] as const;
  await consortium.join(consortium.invite('ONE'), dirs[0]);
  await consortium.join(consortium.invite('TWO'), dirs[1]);
  const { certificate, key } = pairIn(dirs[0]);
  const two = signingIdentity(readFileSync(join(dirs[1], 'signing.key'), 'utf8'), 'two');
  const stranger = signingIdentity(generateSigningKey(), 'stranger');
  const session = connectHttp2(`https://${consortium.address}`, {
    ca: consortium.authority.pair.certificate,
    cert: certificate,
    key,
  });
  const foreign = await call(session, frame(request([signMessage(two, Uint8Array.of(1))], undefined)));
  assert.match(foreign.words, /grpc-message: enrolment\/wrong-site$/m);
  // What nobody's key signed is the engine's to refuse.
  const forged = await call(session, frame(request([signMessage(stranger, Uint8Array.of(1))], undefined)));
  assert.equal(forged.status, 0);
  session.close();
});

test('a renewal under another study, by another key, or by nobody is refused', async () => {
  const dir = newFolder();
  const { identity } = await consortium.join(consortium.invite('RENEWS'), dir);
  const ask = (study: string, signer = identity): Promise<string> =>
    codeOf(
      requestCertificate(
        {
          address: consortium.address,
          authority: consortium.authority.fingerprint,
          study,
          tlsKey: newTlsKey(null),
          identity: signer,
          by: pairIn(dir),
        },
        { dial: dialer(null), now: () => consortium.now(), signal: new AbortController().signal },
      ),
    );
  assert.equal(await ask('ONE'), 'enrolment/wrong-site');
  assert.equal(await ask('RENEWS', signingIdentity(newSigningKey(null), 'other')), 'wire/identity');
  assert.equal(await ask('RENEWS'), 'ok');
  consortium.registry.revoke('RENEWS', consortium.now().getTime());
  assert.equal(await ask('RENEWS'), 'enrolment/revoked');
});

/** Lets the renewal run until it sleeps for the n-th time. */
async function rounds(
  dir: string,
  n: number,
  passphrase: string | null,
  use: ExchangeClient['use'],
): Promise<readonly object[]> {
  const stop = new AbortController();
  const entries: object[] = [];
  const files = { certificate: join(dir, 'site.crt'), key: join(dir, 'tls.key') };
  const signing = openKey(readFileSync(join(dir, 'signing.key'), 'utf8'), passphrase, 'signing.key');
  let slept = 0;
  await keepCertificate(
    {
      study: 'LASTING',
      address: consortium.address,
      files,
      ca: readFileSync(join(dir, 'ca.crt'), 'utf8'),
      identity: signingIdentity(signing, 'signing.key'),
      passphrase,
      use,
      log: {
        append: (entry) => {
          entries.push(entry);
          return { n: 0, time: '', ...entry };
        },
      },
      logger: silent,
    },
    readTls(files, passphrase),
    {
      dial: dialer(null),
      now: () => consortium.now(),
      random: () => 0,
      sleep: async () => {
        if (++slept >= n) stop.abort();
      },
      signal: stop.signal,
    },
  );
  return entries;
}

test('a certificate is renewed for a new key when a third of its life is left; both are good until the old one ends', async () => {
  const dir = newFolder();
  const passphraseFile = join(newFolder(), 'passphrase');
  writeFileSync(passphraseFile, 'a passphrase\n');
  await consortium.join(consortium.invite('LASTING'), dir, { keyPassphraseFile: passphraseFile });
  for (const name of ['tls.key', 'signing.key'])
    assert.match(readFileSync(join(dir, name), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/);
  const files = { certificate: join(dir, 'site.crt'), key: join(dir, 'tls.key') };
  const old = readTls(files, 'a passphrase');
  const client = consortium.client(old);
  const used: string[] = [];
  const use: ExchangeClient['use'] = (pair) => {
    used.push(pair.certificate);
    client.use(pair);
  };

  consortium.clock = 19.9 * DAY;
  assert.deepEqual(await rounds(dir, 2, 'a passphrase', use), []);
  consortium.clock = 20.1 * DAY;
  const entries = await rounds(dir, 2, 'a passphrase', use);
  const renewed = readTls(files, 'a passphrase');
  assert.deepEqual(used, [renewed.certificate]);
  assert.notEqual(renewed.certificate, old.certificate);
  assert.ok(!createPublicKey(renewed.key).equals(createPublicKey(old.key)));
  assert.equal(statSync(files.key).mode & 0o777, 0o600);
  assert.match(readFileSync(files.key, 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/);
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.includes('.next') || name.includes('.part')),
    [],
  );
  const fingerprint = (pem: string): string =>
    new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
  assert.deepEqual(entries, [
    {
      kind: 'decision',
      peer: 'coordinator',
      detail: {
        decision: 'certificate renewed',
        certificate: fingerprint(renewed.certificate),
        before: fingerprint(old.certificate),
      },
    },
  ]);

  consortium.clock = 29.9 * DAY;
  assert.equal(await consortium.exchange(old), 'ok');
  assert.equal(await consortium.exchange(renewed), 'ok');
  consortium.clock = 30.1 * DAY;
  assert.equal(await consortium.exchange(old), 'enrolment/expired');
  assert.equal(await consortium.exchange(renewed), 'ok');
  assert.equal((await client.exchange([])).status, 'ok');
  client.close();
  consortium.clock = 0;
});

test('a renewal that was killed at any step is finished by the next one, with the same key', async () => {
  const dir = newFolder();
  await consortium.join(consortium.invite('KILLED'), dir);
  const at = (name: string): string => join(dir, name);
  const key = newTlsKey(null);
  const identity = signingIdentity(readFileSync(at('signing.key'), 'utf8'), 'signing.key');
  const ask = requestCertificate(
    {
      address: consortium.address,
      authority: consortium.authority.fingerprint,
      study: 'KILLED',
      tlsKey: key,
      identity,
      by: pairIn(dir),
    },
    { dial: dialer(null), now: () => consortium.now(), signal: new AbortController().signal },
  );
  const { certificate } = await ask;
  const files = { certificate: at('site.crt'), key: at('tls.key') };
  // The key took its place, and the certificate not yet.
  writeFileSync(at('site.crt.next'), certificate);
  writeFileSync(at('tls.key'), key);
  assert.deepEqual(readTls(files, null), { certificate, key });
  assert.equal(readFileSync(at('site.crt'), 'utf8'), certificate);
  assert.ok(!existsSync(at('site.crt.next')));
});

test('pauses between two looks are jittered, short after a failure, and an hour at most', () => {
  for (const [failures, longest] of [
    [0, 3_600_000],
    [1, 10_000],
    [2, 20_000],
    [30, 3_600_000],
  ] as const) {
    assert.equal(renewalPause(failures, 0), longest / 2);
    assert.equal(renewalPause(failures, 1), longest);
  }
});

test('whoever fails again and again is not heard for a while; what is too long is not read', async () => {
  const other = await Consortium.start();
  const invitation = other.invite('GUESSED');
  const guess = { ...invitation, secret: new Uint8Array(32) };
  const dir = newFolder();
  for (let i = 0; i < 10; i++) assert.equal(await codeOf(other.join(guess, dir)), 'enrolment/invitation');
  assert.equal(await codeOf(other.join(guess, dir)), 'network/unreachable');
  other.clock = 6_000;
  assert.equal(await codeOf(other.join(invitation, dir)), 'ok');
  const session = connectHttp2(`https://${other.address}`, { ca: other.authority.pair.certificate });
  // All at once: what is under way counts as what has failed.
  for (const clock of [3_600_000, 3_600_000 + 6_000]) {
    other.clock = clock;
    const guesses = Array.from({ length: 25 }, () => call(session, frame(new Uint8Array(8)), ENROL_PATH));
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status !== 8).length, clock === 3_600_000 ? 10 : 1);
  }
  other.clock = 7_200_000;
  const long = await call(session, frame(new Uint8Array(17 * 1024)), ENROL_PATH);
  assert.equal(long.status, 8);
  session.close();
  await other.stop();
});

test('a PKI of the consortium’s own: a site is admitted by its certificate’s name', async () => {
  const own = await Consortium.start({ issues: false });
  const key = newTlsKey(null);
  const publicKey = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }));
  const validity = { notBefore: new Date(own.started - DAY), notAfter: new Date(own.started + DAY) };
  const certificate = await issue(
    own.authority.pair,
    { commonName: 'PKI', publicKey },
    { kind: 'client' },
    validity,
  );
  const pair = { certificate: new X509Certificate(certificate).toString(), key };
  assert.equal(await own.exchange(pair), 'wire/identity');
  own.registry.admit('PKI', new Uint8Array(32), own.now().getTime());
  assert.equal(await own.exchange(pair), 'ok');
  own.registry.revoke('PKI', own.now().getTime());
  assert.equal(await own.exchange(pair), 'enrolment/revoked');
  const stranger = await newAuthority('Test authority', validity);
  const foreign = await issue(stranger, { commonName: 'PKI', publicKey }, { kind: 'client' }, validity);
  assert.equal(
    await own.exchange({ certificate: new X509Certificate(foreign).toString(), key }),
    'enrolment/wrong-authority',
  );
  assert.equal(await codeOf(own.join(own.invite('NONE'), newFolder())), 'wire/identity');
  await own.stop();
});

test('certificates that no one issues here, of other algorithms or without a name, are turned away and harm nothing', async () => {
  const algorithms = [
    { name: 'Ed25519' },
    { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
    {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 2048,
      publicExponent: Uint8Array.of(1, 0, 1),
      hash: 'SHA-256',
    },
  ];
  for (const algorithm of algorithms) {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    assert.ok('privateKey' in keys);
    for (const name of ['CN=JOINS', 'CN=JOINS, CN=ONE', 'O=nobody']) {
      const signed = { name, keys, signingAlgorithm: algorithm };
      const certificate = await X509CertificateGenerator.createSelfSigned(signed, provider);
      const key: string = KeyObject.from(keys.privateKey).export({ format: 'pem', type: 'pkcs8' }).toString();
      const pair = { certificate: certificate.toString('pem'), key };
      assert.equal(await consortium.exchange(pair), 'enrolment/wrong-authority');
    }
  }
});
