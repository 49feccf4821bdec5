/** Operational log: only these keys are ever written. */
import { pino } from 'pino';

export interface LogFields {
  readonly event: string;
  readonly study?: string;
  readonly run?: string;
  readonly round?: number;
  readonly code?: string;
}

export type Logger = (level: 'info' | 'warn' | 'error', fields: LogFields) => void;

const KEYS = ['event', 'study', 'run', 'round', 'code'] as const;

export function makeLogger(destination: string | number): Logger {
  const base = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: destination, mkdir: true, sync: true }),
  );
  return (level, fields) =>
    base[level](
      Object.fromEntries(KEYS.filter((key) => fields[key] !== undefined).map((key) => [key, fields[key]])),
    );
}
