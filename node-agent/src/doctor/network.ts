/** What the doctor checks between this machine and the coordinator. No message of a run is sent, and no task taken. */
import { tmpdir } from 'node:os';

import { parseAddress } from '@concordat/shared/plan/address.ts';
import {
  negotiate,
  PROTOCOL_NEWEST,
  PROTOCOL_OLDEST,
  versionMismatch,
} from '@concordat/shared/wire/protocol.ts';

import type { AgentConfig } from '../config.ts';
import { ExchangeClient, type Greeting } from '../egress/client.ts';
import { dialer, resolveName, type Resolver } from '../egress/dial.ts';
import { CLOCK_TOLERANCE, inspect, judge, type Inspection } from '../egress/inspect.ts';
import { routeTo, type Route } from '../egress/proxy.ts';
import { Tunnel } from '../egress/tunnel.ts';
import { fail, failure, ok, warn, type Finding } from './finding.ts';
import { readKey, readText } from './files.ts';

export interface Network {
  readonly now: () => Date;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The system's resolver where it is not given. */
  readonly resolver?: Resolver;
}

export interface NetworkReport {
  readonly findings: readonly Finding[];
  /** Null where a proxy is named that cannot be used. */
  readonly route: Route | null;
}

/** Milliseconds for each step. */
const PATIENCE = 15_000;

/** Each check needs the one before: the first that fails is the last. */
export async function checkNetwork(config: AgentConfig, network: Network): Promise<NetworkReport> {
  const findings: Finding[] = [];
  let route: Route | null = null;
  let check = 'proxy';
  try {
    const { host, port } = parseAddress(config.coordinator);
    route = routeTo(host, port, config.proxy, network.environment);
    const { proxy } = route;
    findings.push(ok(check, describeRoute(route)));

    check = 'name resolution';
    const name = proxy?.host ?? host;
    const addresses = await resolveName(name, network.resolver);
    const who = proxy === null ? '' : ', the proxy; the proxy resolves the name of the coordinator';
    findings.push(ok(check, `${name} is ${addresses.join(', ')}${who}`));

    check = 'connection';
    const dial = dialer(proxy, network.resolver);
    const before = performance.now();
    (await dial(host, port, AbortSignal.timeout(PATIENCE))).destroy();
    const took = Math.round(performance.now() - before);
    findings.push(ok(check, `to ${config.coordinator} in ${took} ms`));

    check = 'TLS';
    const ca = readText(config.tls.ca);
    const seen = await inspect({ host, port, ca, dial }, AbortSignal.timeout(PATIENCE));
    const fault = judge(seen, host, network.now());
    if (fault !== null) {
      findings.push(failure(fault.code === 'network/clock' ? 'clock' : check, fault));
      return { findings, route };
    }
    findings.push(describeTls(seen));

    check = 'temporary folder';
    await (await Tunnel.open({ host, port, dial, patience: PATIENCE })).close();
    findings.push(
      ok(check, `${tmpdir()} holds the agent's socket, and nothing else: records are worked on in memory`),
    );

    check = 'coordinator';
    const [certificate, key] = [readText(config.tls.certificate), readKey(config, config.tls.key)];
    const client = new ExchangeClient({ address: config.coordinator, ca, certificate, key, dial });
    const greeting = await client.greet().finally(() => client.close());
    findings.push(...describeGreeting(greeting, network.now()));
  } catch (error) {
    findings.push(failure(check, error));
  }
  return { findings, route };
}

export function describeRoute({ proxy, source }: Route): string {
  if (proxy === null) return `none is used: ${source}`;
  const signIn = proxy.authorization === null ? 'without sign-in' : 'with basic sign-in';
  return `${proxy.shown} from ${source}, ${signIn}`;
}

function describeTls({ version, inner, certificates }: Inspection): Finding {
  const [own] = certificates;
  const found = `${version ?? ''}, certificate issued by "${own?.issuer ?? ''}", valid until ${own?.until.toISOString().slice(0, 10) ?? ''}, of the pinned authority`;
  if (version === 'TLSv1.3' && inner === 'h2') return ok('TLS', found);
  return fail(
    'TLS',
    `${found}; TLS 1.3 and HTTP/2 (h2) cannot be agreed`,
    "have whatever stands before the coordinator pass TLS on, or speak TLS 1.3 and HTTP/2 with the coordinator's certificate",
  );
}

function describeGreeting(greeting: Greeting, now: Date): readonly Finding[] {
  if (greeting.status === 'interrupted') return [];
  if (greeting.status === 'failed') {
    const { failure: code, detail } = greeting;
    return [
      fail(
        code === 'network/clock' ? 'clock' : 'coordinator',
        detail === undefined ? code : `${code}: ${detail}`,
        REMEDIES[code] ?? 'docs/errors.md says what to do',
      ),
    ];
  }
  const own = { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST };
  const { versions, date } = greeting;
  const version = negotiate(own, versions);
  return [
    version === 0
      ? failure('coordinator', versionMismatch(own, versions, 'the coordinator'))
      : ok('coordinator', `admits this site's certificate; protocol version ${version}`),
    ...(date === null ? [] : [compareClocks(date, now)]),
  ];
}

const REMEDIES: Readonly<Record<string, string>> = {
  'not-admitted':
    'the coordinator does not know this certificate: ask the consortium whether the site is enrolled',
  'enrolment/expired': 'ask the consortium for a new invitation',
  'enrolment/revoked': 'ask the consortium why the admission was revoked',
  'enrolment/wrong-site': 'use the certificate that was issued to this study',
  'enrolment/wrong-authority': 'compare fingerprints with the consortium out of band',
  'network/clock': "set this machine's clock, by NTP for instance",
  'network/unreachable':
    'the connection is cut after it is made: ask the IT department what stands in between',
  'timed-out': 'the coordinator takes the connection and does not answer: ask the consortium',
};

function compareClocks(theirs: Date, ours: Date): Finding {
  // The header tells whole seconds, and took its time to come.
  const apart = Math.round(Math.abs(theirs.getTime() - ours.getTime()) / 1000);
  const found = `${apart} s from the coordinator's`;
  const remedy = "set this machine's clock, by NTP for instance";
  if (apart * 1000 > CLOCK_TOLERANCE) return fail('clock', `network/clock: ${found}`, remedy);
  return apart > 60 ? warn('clock', found, remedy) : ok('clock', found);
}
