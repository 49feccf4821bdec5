/** A coordinator that sites join by invitation. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { concordat, freePort, newFolder, until, type Program } from './federation.ts';

/** Gives a command that has to succeed; what it printed. */
export async function done(argv: readonly string[]): Promise<string> {
  const program = concordat(argv);
  assert.equal(await program.exit, 0, program.output);
  return program.output;
}

/** A consortium's coordinator with an authority of its own, made and run by its commands. */
export class Coordinator {
  readonly dir: string;
  readonly port: number;

  constructor(dir: string, port: number) {
    this.dir = dir;
    this.port = port;
  }

  static async init(): Promise<Coordinator> {
    const made = new Coordinator(join(newFolder(), 'coordinator'), await freePort());
    const listen = ['--host', '127.0.0.1', '--listen', `127.0.0.1:${made.port}`];
    await done(['coordinator', 'init', '--dir', made.dir, ...listen]);
    return made;
  }

  get config(): readonly string[] {
    return ['--config', join(this.dir, 'coordinator.yaml')];
  }

  async invite(study: string): Promise<string> {
    const output = await done(['coordinator', 'invite', study, ...this.config]);
    return output.split('\n')[0]!;
  }

  revoke(study: string): Promise<string> {
    return done(['coordinator', 'revoke', study, ...this.config]);
  }

  async serve(): Promise<Program> {
    const program = concordat(['coordinator', ...this.config, '--json']);
    await until(() => program.ended || program.output.includes('"listening"'), 'the coordinator to listen');
    return program;
  }

  run(plan: string): Program {
    fs.writeFileSync(join(this.dir, 'plan.yaml'), plan);
    const files = ['--plan', join(this.dir, 'plan.yaml'), '--out', join(this.dir, 'out')];
    return concordat(['coordinator', ...this.config, ...files, '--json']);
  }
}
