import { ConcordatError } from '../errors.ts';

export function corrupt(place: string, message: string): ConcordatError {
  return new ConcordatError('log/corrupt', message, {
    place,
    remedy: 'the log was changed on disk: restore it from a backup and tell the other side',
  });
}

export function foreign(directory: string): ConcordatError {
  return new ConcordatError('run/conflict', 'another process has written to this log', {
    place: directory,
    remedy: 'a log belongs to one process at a time: stop the other one, then start this one again',
  });
}
