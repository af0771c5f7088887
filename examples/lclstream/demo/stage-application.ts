// Puts the programs of the analysis where a Slurm job's own user can read them: at a facility they would be installed on its file system. The checkout may be closed to him.
// Owns the copy, which lies below the project's root and goes with it.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Gives the folder of the programs and the Node.js that runs them. */
export async function stageApplication(
  from: { readonly example: string; readonly modules: string },
  root: string,
): Promise<{ readonly application: string; readonly interpreter: string }> {
  const to = join(root, 'beamway-demo');
  const application = join(to, 'lclstream');
  const interpreter = join(to, 'node');
  mkdirSync(to, { recursive: true });
  cpSync(from.example, application, {
    recursive: true,
    dereference: true,
    filter: (path) => !path.includes('node_modules'),
  });
  cpSync(process.execPath, interpreter, { dereference: true });
  // What zeromq needs to load itself.
  for (const name of ['zeromq', 'cmake-ts']) {
    const module = join(from.modules, name);
    if (existsSync(module)) cpSync(module, join(to, 'node_modules', name), { recursive: true, dereference: true });
  }
  await run('/usr/bin/chown', ['-R', '--reference', root, to]);
  await run('/usr/bin/chmod', ['-R', 'u+rX', to]);
  return { application, interpreter: existsSync(interpreter) ? interpreter : join(dirname(process.execPath), 'node') };
}
