/**
 * Entry of the command line. Owns the verbs that need src/ (`up`, `node`, `admin`, `check`); the online ones come from clients/typescript. Each verb
 * loads its code when it is used, so that `beamway job list` does not pay for a database.
 */
import { Command, CommanderError } from 'commander';
import {
  addOnlineCommands,
  CommandError,
  EXIT,
  exitCodeOf,
  explain,
  profilePath,
} from '../clients/typescript/src/cli/index.ts';
import { completionScript } from './completion.ts';

const program = new Command('beamway')
  .description('An open facility gateway for interactive high performance computing')
  .version('0.1.0')
  .showHelpAfterError('(add --help for what it takes)')
  .exitOverride();

program
  .command('up')
  .description('the whole system in the foreground: database, control plane, data streaming nodes, local cluster')
  .requiredOption('--state <dir>', 'where everything it must remember lies')
  .option('--listen <address>', 'ADDRESS:PORT; port 0 takes a free one', '127.0.0.1:8080')
  .option('--facility <dir>', 'the facility as code; default: the example that comes with the checkout')
  .option('--dev', 'for trying it out: prints an administrator’s session, local jobs run as you')
  .addHelpText(
    'after',
    '\nPrints one JSON line when ready. SIGTERM ends everything it started.\n\nExample:\n  beamway up --state /tmp/beamway --listen 127.0.0.1:0 --dev\n',
  )
  .action(async (options: { state: string; listen: string; facility?: string; dev?: boolean }) => {
    const { runUp } = await import('./run-up.ts');
    await runUp(options);
  });

program
  .command('node')
  .description('the agent of one data streaming node, on its own host')
  .requiredOption('--name <name>', 'as in facility.yaml')
  .requiredOption('--state <dir>', 'where its leases lie')
  .requiredOption('--link <file>', '0600 file with {"url": …, "bearer": …}')
  .option('--external <address>', 'address of the external network on this host', '127.0.0.1')
  .option('--compute <address>', 'address of the compute network on this host', '127.0.0.1')
  .option('--ports <from-to>', 'ports for data listeners; 0-0 takes any', '0-0')
  .action(
    async (options: {
      name: string;
      state: string;
      link: string;
      external: string;
      compute: string;
      ports: string;
    }) => {
      const [, from, to] = /^(\d{1,5})-(\d{1,5})$/.exec(options.ports) ?? [];
      if (from === undefined || to === undefined)
        throw new CommandError('--ports: write FROM-TO, for example 30000-30999');
      const { name, state: stateDir, link: linkFile, external, compute } = options;
      process.argv[2] = JSON.stringify({
        name,
        stateDir,
        linkFile,
        external,
        compute,
        portRange: { from: Number(from), to: Number(to) },
        logLevel: 'info',
      });
      await import('./node-main.ts');
    },
  );

program
  .command('admin')
  .description('first administrator')
  .command('init')
  .description('print a session of an administrator for the system on --state, running or not')
  .requiredOption('--state <dir>')
  .option('--lifetime-hours <hours>', 'how long it lives', '8')
  .option('--json', 'print one JSON document')
  .action(async (options: { state: string; lifetimeHours: string; json?: boolean }) => {
    const hours = Number(options.lifetimeHours);
    if (!(hours > 0 && hours <= 24)) throw new CommandError('--lifetime-hours: more than 0, at most 24');
    const { initAdmin } = await import('./init-admin.ts');
    const issued = await initAdmin(options.state, hours * 3600);
    process.stdout.write(options.json === true ? `${JSON.stringify(issued)}\n` : `${issued.value}\n`);
  });

program
  .command('check')
  .description('read a facility folder and name every fault by file, line and column')
  .requiredOption('--facility <dir>')
  .option('--json', 'print one JSON document')
  .action(async (options: { facility: string; json?: boolean }) => {
    const { checkFacility } = await import('./check-facility.ts');
    const report = checkFacility(options.facility);
    process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : report.text);
    if (!report.ok) process.exitCode = EXIT.failed;
  });

program
  .command('completion')
  .argument('<shell>', 'bash or zsh')
  .description('print a completion script')
  .addHelpText('after', '\nExample:\n  eval "$(beamway completion bash)"\n')
  .action((shell: string) => {
    if (shell !== 'bash' && shell !== 'zsh') throw new CommandError('completion is for bash or zsh');
    process.stdout.write(completionScript(program, shell));
  });

addOnlineCommands(program, process.env);

const policy = program.commands.find((c) => c.name() === 'policy') ?? program.command('policy');
policy
  .command('test')
  .description("run a facility's own policy tests; exit 1 where one fails")
  .option('--facility <dir>', 'default: the example facility')
  .option('--json', 'print one JSON document')
  .action(async (options: { facility?: string; json?: boolean }) => {
    const { policyTest } = await import('./policy-verbs.ts');
    const { EXAMPLE_FACILITY } = await import('./config.ts');
    report(policyTest(options.facility ?? EXAMPLE_FACILITY), options.json);
  });
policy
  .command('diff')
  .argument('<a>', 'an environment, or DIR:ENVIRONMENT of another version of the folder')
  .argument('<b>')
  .description('which decisions differ between two environments or versions; exit 1 where any does')
  .option('--facility <dir>', 'default: the example facility')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nExamples:\n  beamway policy diff ace frontier\n  beamway policy diff old-facility:ace ace --facility new-facility\n',
  )
  .action(async (a: string, b: string, options: { facility?: string; json?: boolean }) => {
    const { policyDiff } = await import('./policy-verbs.ts');
    const { EXAMPLE_FACILITY } = await import('./config.ts');
    const side = (text: string): { dir: string; environment: string } => {
      const at = text.lastIndexOf(':');
      return at < 0
        ? { dir: options.facility ?? EXAMPLE_FACILITY, environment: text }
        : { dir: text.slice(0, at), environment: text.slice(at + 1) };
    };
    report(policyDiff(side(a), side(b)), options.json);
  });

function report(
  outcome: { readonly ok: boolean; readonly document: object; readonly text: string },
  json: boolean | undefined,
): void {
  process.stdout.write(json === true ? `${JSON.stringify(outcome.document, null, 2)}\n` : outcome.text);
  if (!outcome.ok) process.exitCode = EXIT.failed;
}

program.addHelpText(
  'after',
  `
Where and as whom:
  BEAMWAY_URL                      the facility, for example http://127.0.0.1:8080
  BEAMWAY_TOKEN, BEAMWAY_TOKEN_FILE  a project access token or a session
  BEAMWAY_PROFILE                  a name in ${profilePath(process.env)}
                                   (mode 0600): {"default": {"url": "…", "token": "…"}}

Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 not found, 5 unavailable.
`,
);

// A reader that stops reading (`| head`) ends us quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
);

try {
  await program.parseAsync();
} catch (failure) {
  if (failure instanceof CommanderError) process.exitCode = failure.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else {
    process.stderr.write(explain(failure));
    process.exitCode = exitCodeOf(failure);
  }
}
