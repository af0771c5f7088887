/**
 * Entry of the command line. Owns the verbs that need src/ (`up`, `node`, `admin`, `check`); the online ones come from clients/typescript. Each verb
 * loads its code when it is used, so that `beamway job list` does not pay for a database.
 */
import { Command, CommanderError } from 'commander';
import {
  addOnlineCommands,
  CommandError,
  clientFrom,
  duration,
  EXIT,
  exitCodeOf,
  explain,
  printVerification,
  profilePath,
  recordsSince,
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
  .option(
    '--dev',
    'for trying it out: prints an administrator’s session and accounts to sign in with, local jobs run as you',
  )
  .option('--with <what>', 'slurm: a real Slurm of its own in place of the first local cluster (root, Debian packages)')
  .addHelpText(
    'after',
    '\nPrints one JSON line when ready. SIGTERM ends everything it started.\n\nExamples:\n  beamway up --state /tmp/beamway --listen 127.0.0.1:0 --dev\n  beamway up --state /tmp/beamway --dev --with slurm\n',
  )
  .action(async (options: { state: string; listen: string; facility?: string; dev?: boolean; with?: string }) => {
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

for (const { verb, entry, what } of [
  {
    verb: 'slurm-agent',
    entry: './slurm-agent-main.ts',
    what: 'the agent of a Slurm cluster, on a login host, as a Slurm Operator of its own',
  },
  {
    verb: 'slurm-signer',
    entry: './slurm-signer-main.ts',
    what: "the one process that holds Slurm's JWT key, beside the agent",
  },
] as const)
  program
    .command(verb)
    .description(what)
    .requiredOption('--config <file>', 'its own settings; writable by nobody else')
    .option('--user <name>', 'started by root: become this user before any file is read')
    .addHelpText(
      'after',
      `\nExample:\n  beamway ${verb} --config /etc/beamway/${verb}.yaml\nHow to set it up: docs/operate/slurm.md\n`,
    )
    .action(async (options: { config: string; user?: string }) => {
      process.argv[2] = JSON.stringify(options);
      await import(entry);
    });

const admin = program.command('admin').description('an administrator, made by whoever owns the state folder');
admin
  .command('init')
  .description('print a session of an administrator for the system on --state, running or not')
  .requiredOption('--state <dir>')
  .option('--lifetime-hours <hours>', 'how long it lives', '8')
  .option('--json', 'print one JSON document')
  .addHelpText('after', '\nExample:\n  beamway admin init --state /var/lib/beamway-state\n')
  .action(async (options: { state: string; lifetimeHours: string; json?: boolean }) => {
    const hours = Number(options.lifetimeHours);
    if (!(hours > 0 && hours <= 24)) throw new CommandError('--lifetime-hours: more than 0, at most 24');
    const { initAdmin } = await import('./init-admin.ts');
    const issued = await initAdmin({ stateDir: options.state, lifetimeSeconds: hours * 3600 });
    process.stdout.write(options.json === true ? `${JSON.stringify(issued)}\n` : `${issued.value}\n`);
  });
admin
  .command('break-glass')
  .description('the same for the day when nobody can sign in: one hour at most, with a reason in the audit log')
  .requiredOption('--state <dir>')
  .requiredOption('--reason <text>', 'why; recorded before the session exists')
  .option('--lifetime-minutes <minutes>', 'how long it lives, at most 60', '30')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nExample:\n  beamway admin break-glass --state /srv/beamway --reason "identity provider down, incident 42"\n',
  )
  .action(async (options: { state: string; reason: string; lifetimeMinutes: string; json?: boolean }) => {
    const minutes = Number(options.lifetimeMinutes);
    if (!(minutes > 0 && minutes <= 60)) throw new CommandError('--lifetime-minutes: more than 0, at most 60');
    if (options.reason.trim().length < 3) throw new CommandError('--reason: say why');
    const { initAdmin } = await import('./init-admin.ts');
    const issued = await initAdmin({
      stateDir: options.state,
      lifetimeSeconds: minutes * 60,
      breakGlass: options.reason,
    });
    process.stdout.write(options.json === true ? `${JSON.stringify(issued)}\n` : `${issued.value}\n`);
  });
admin
  .command('slurm-link')
  .description("make the bearer of a cluster's Slurm agent and its link.json")
  .requiredOption('--state <dir>')
  .requiredOption('--cluster <name>', 'as in facility.yaml, with `scheduler: slurm`')
  .requiredOption(
    '--url <urls>',
    "each replica's own address, separated by commas; https, or http on a loopback address",
  )
  .option('--to <file>', 'write link.json there, mode 0600, in place of printing it')
  .option('--lifetime-days <days>', 'how long the bearer holds', '90')
  .option('--replace', 'revoke the bearers that this agent had before')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nExample:\n  beamway admin slurm-link --state /srv/beamway --cluster frontier --url https://gw1.example.org,https://gw2.example.org --to link.json\n',
  )
  .action(
    async (options: {
      state: string;
      cluster: string;
      url: string;
      to?: string;
      lifetimeDays: string;
      replace?: boolean;
      json?: boolean;
    }) => {
      const days = Number(options.lifetimeDays);
      if (!(days > 0 && days <= 366)) throw new CommandError('--lifetime-days: more than 0, at most 366');
      const { linkAgent } = await import('./link-agent.ts');
      const { file, ...made } = await linkAgent({
        stateDir: options.state,
        cluster: options.cluster,
        urls: options.url,
        lifetimeSeconds: Math.round(days * 86_400),
        replace: options.replace === true,
        ...(options.to === undefined ? {} : { to: options.to }),
      });
      if (options.to === undefined) return void process.stdout.write(`${JSON.stringify(file)}\n`);
      const revoked = made.revoked.length === 0 ? '' : `, revoked ${made.revoked.join(', ')}`;
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify({ ...made, to: options.to })}\n`
          : `${options.to}: bearer ${made.id} until ${made.expiresAt}${revoked}\n`,
      );
    },
  );

program
  .command('backup')
  .description('all state of a system, running or not, into a new folder')
  .requiredOption('--state <dir>')
  .requiredOption('--to <dir>', 'new; guard it like the state folder: it holds keys')
  .option('--facility <dir>', 'keep the facility folder with it')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nExample:\n  beamway backup --state /srv/beamway --facility /etc/beamway --to /backup/monday\n',
  )
  .action(async (options: { state: string; to: string; facility?: string; json?: boolean }) => {
    const { backupState } = await import('./backup-state.ts');
    const { state: stateDir, to, facility, json } = options;
    const done = await backupState({ stateDir, to, ...(facility === undefined ? {} : { facilityDir: facility }) });
    process.stdout.write(
      json === true
        ? `${JSON.stringify(done)}\n`
        : `${done.to}: ${done.rows} rows of ${done.tables} tables as of ${done.madeAt}, ${done.files} files\n`,
    );
  });

program
  .command('restore')
  .description('a backup into an empty state folder; sessions are revoked')
  .requiredOption('--from <dir>', 'made by beamway backup')
  .requiredOption('--state <dir>', 'new or empty')
  .option('--facility <dir>', 'where the facility folder of the backup goes; new or empty')
  .option('--revoke-tokens', 'revoke every project access token too: some may have been revoked after the backup')
  .option('--json', 'print one JSON document')
  .addHelpText('after', '\nExample:\n  beamway restore --from /backup/monday --state /srv/beamway-restored\n')
  .action(
    async (options: { from: string; state: string; facility?: string; revokeTokens?: boolean; json?: boolean }) => {
      const { restoreState } = await import('./restore-state.ts');
      const done = await restoreState({
        from: options.from,
        stateDir: options.state,
        revokeTokens: options.revokeTokens === true,
        ...(options.facility === undefined ? {} : { facilityDir: options.facility }),
      });
      const warning =
        done.validTokens === 0
          ? ''
          : `${done.validTokens} tokens are valid again as they were then, also those revoked since: look at \`beamway token list\`, or restore with --revoke-tokens\n`;
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(done)}\n`
          : `${options.state}: ${done.rows} rows and ${done.files} files of ${done.madeAt}; audit log intact, ${done.auditRecords} records; ${done.revokedSessions} sessions revoked\n${warning}`,
      );
    },
  );

program
  .command('check')
  .description('read a facility folder and name every fault by file, line and column')
  .requiredOption('--facility <dir>')
  .option('--json', 'print one JSON document')
  .addHelpText('after', '\nExample:\n  beamway check --facility /etc/beamway\n')
  .action(async (options: { facility: string; json?: boolean }) => {
    const { checkFacility } = await import('./check-facility.ts');
    const report = checkFacility(options.facility);
    process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : report.text);
    if (!report.ok) process.exitCode = EXIT.failed;
  });

const slurm = program.commands.find((c) => c.name() === 'slurm') ?? program.command('slurm');
slurm
  .description('a Slurm cluster, seen from one of its hosts')
  .command('check')
  .description('what the settings of a Slurm cost in seconds or risk; reads only. Exit 1 where there is a risk')
  .option('--slurm-conf <file>', 'read this slurm.conf in place of asking the controller')
  .option('--qos <file>', 'output of `sacctmgr -P show qos` in place of asking')
  .option('--rest <url>', 'is slurmrestd there?')
  .option('--bin <dir>', 'where scontrol and sacctmgr are', '/usr/bin')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nAsks the cluster of SLURM_CONF, by default /etc/slurm/slurm.conf. Exit 5 where Slurm cannot be asked.\n\nExamples:\n  beamway slurm check\n  beamway slurm check --slurm-conf slurm.conf --qos qos.txt --json\n',
  )
  .action(async (options: { slurmConf?: string; qos?: string; rest?: string; bin: string; json?: boolean }) => {
    const { checkSlurm } = await import('./check-slurm.ts');
    report(await checkSlurm(options, process.env), options.json);
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

const audit = program.commands.find((c) => c.name() === 'audit') ?? program.command('audit');
(audit.commands.find((c) => c.name() === 'verify') ?? audit.command('verify'))
  .option('--records <file>', 'an exported file in place of the facility’s log; no server, no token')
  .option('--key <file>', 'with --records: the public key, from beamway audit key; its checkpoints are checked too')
  .action(async (options: { records?: string; key?: string; json?: boolean }) => {
    if (options.records === undefined && options.key !== undefined)
      throw new CommandError('--key goes with --records.');
    if (options.records === undefined) return printVerification(clientFrom(process.env), options);
    const { auditVerifyFile } = await import('./audit-verbs.ts');
    report(await auditVerifyFile(options.records, options.key), options.json);
  });
audit
  .command('prune')
  .description('drop the periods of the log whose retention is over, as the owner of the state folder')
  .requiredOption('--state <dir>')
  .requiredOption('--facility <dir>', 'whose audit.yaml says how long records are kept')
  .option('--archive <dir>', 'write the records there first, as JSON Lines')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nExample:\n  beamway audit prune --state /var/lib/beamway-state --facility /etc/beamway --archive /archive/audit\n',
  )
  .action(async (options: { state: string; facility: string; archive?: string; json?: boolean }) => {
    const { auditPrune } = await import('./audit-verbs.ts');
    report(await auditPrune(options), options.json);
  });

const policy = program.commands.find((c) => c.name() === 'policy') ?? program.command('policy');
policy
  .command('test')
  .description("run a facility's own policy tests; exit 1 where one fails")
  .option('--facility <dir>', 'default: the example facility')
  .option('--json', 'print one JSON document')
  .addHelpText('after', '\nExample:\n  beamway policy test --facility /etc/beamway\n')
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

policy
  .command('replay')
  .description(
    'which recorded requests would other policies decide otherwise? exit 1 where any would, or a record cannot be read',
  )
  .requiredOption('--facility <dir>', 'the candidate: a facility folder')
  .option('--records <file>', 'JSON Lines of `beamway audit export`; - reads the standard input')
  .option('--since <duration>', 'ask the server for its records of so long, for example 7d', duration)
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nReads that were allowed are not recorded, so nothing is said about them.\n\nExamples:\n  beamway policy replay --facility new-facility --since 7d\n  beamway policy replay --facility new-facility --records audit.jsonl\n',
  )
  .action(async (options: { facility: string; records?: string; since?: number; json?: boolean }) => {
    const { policyReplay, recordsIn } = await import('./policy-verbs.ts');
    const { facility, records: file, since } = options;
    const sources = [
      ...(file === undefined ? [] : [recordsIn(file)]),
      ...(since === undefined ? [] : [recordsSince(clientFrom(process.env), since)]),
    ];
    const [records, another] = sources;
    if (records === undefined || another !== undefined)
      throw new CommandError('say where the records come from: --records FILE or --since DURATION');
    report(await policyReplay(facility, records), options.json);
  });

const template = program.commands.find((c) => c.name() === 'template') ?? program.command('template');
template
  .command('diff')
  .description(
    'which templates another facility folder changes, in what, and which live streams were made from them; exit 1 where any differs',
  )
  .requiredOption('--facility <dir>', 'the new folder')
  .option('--against <dir>', 'an old folder in place of what the server has in force; no stream is named then')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nNames the live streams that your bearer may see; a session of staff sees all.\n\nExamples:\n  beamway template diff --facility new-facility\n  beamway template diff --facility new-facility --against /etc/beamway\n',
  )
  .action(async ({ facility, against, json }: { facility: string; against?: string; json?: boolean }) => {
    const { templateDiff, templateDiffOnline } = await import('./template-verbs.ts');
    report(
      against === undefined
        ? await templateDiffOnline(clientFrom(process.env), facility)
        : templateDiff(against, facility),
      json,
    );
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
