/** Operational log: only these keys are ever written, so that a record cannot slip into a log line. */
import { pino, type Logger as Pino } from 'pino';

export interface LogFields {
  readonly event: string;
  readonly study?: string;
  readonly run?: string;
  readonly analysis?: string;
  readonly round?: number;
  readonly type?: string;
  readonly code?: string;
  readonly place?: string;
  readonly detail?: string;
  readonly milliseconds?: number;
}

export interface Logger {
  info(fields: LogFields): void;
  warn(fields: LogFields): void;
  error(fields: LogFields): void;
}

const KEYS = [
  'event',
  'study',
  'run',
  'analysis',
  'round',
  'type',
  'code',
  'place',
  'detail',
  'milliseconds',
] as const;

export function makeLogger(destination: string | number): Logger {
  const base: Pino = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: destination, mkdir: true, sync: true }),
  );
  const allowed = (fields: LogFields): Partial<LogFields> =>
    Object.fromEntries(KEYS.filter((key) => fields[key] !== undefined).map((key) => [key, fields[key]]));
  return {
    info: (fields) => base.info(allowed(fields)),
    warn: (fields) => base.warn(allowed(fields)),
    error: (fields) => base.error(allowed(fields)),
  };
}
