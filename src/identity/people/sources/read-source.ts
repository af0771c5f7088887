/** One reading of a source of people.yaml, or of CSV that was sent. Rejects with Problem `source-failed`, whose detail says what the source said. */
import { readFile } from 'node:fs/promises';
import { Problem } from '../../../problems.ts';
import type { SlurmSource, Source } from '../people-settings.ts';
import type { Reading } from '../person.ts';
import { SourceError } from './csv.ts';
import { type CsvTexts, parseCsvTexts, readCsvFolder } from './read-csv.ts';
import { readLdap } from './read-ldap.ts';
import { runCommand } from './run-command.ts';
import { parseSlurm } from './slurm.ts';

const MOST_FAULTS = 50;

export async function readSource(source: Source, sent?: CsvTexts): Promise<Reading> {
  try {
    return await reading(source, sent);
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    if (sent !== undefined && cause instanceof SourceError)
      throw new Problem('invalid-request', 'The CSV cannot be taken in; nothing was changed.', {
        errors: cause.faults
          .slice(0, MOST_FAULTS)
          .map((f) => ({ pointer: `#/csv/${f.file.replace(/\.csv$/, '')}`, detail: `line ${f.line}: ${f.detail}` })),
      });
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new Problem(
      'source-failed',
      `Source ${source.name} could not be read; what was imported before stays: ${said.slice(0, 2000)}`,
      { cause },
    );
  }
}

async function reading(source: Source, sent: CsvTexts | undefined): Promise<Reading> {
  if (sent !== undefined) {
    if (source.kind !== 'csv')
      throw new Problem('conflict', `Source ${source.name} is of kind ${source.kind}: CSV is for those of kind csv.`);
    return parseCsvTexts(sent, source.subjectPrefix);
  }
  switch (source.kind) {
    case 'csv':
      if (source.folder === undefined)
        throw new Problem('conflict', `Source ${source.name} has no folder in people.yaml: send its CSV.`);
      return readCsvFolder(source.folder, source.subjectPrefix);
    case 'ldap':
      return readLdap(source);
    case 'slurm': {
      const associations = await textOf(source, source.associations);
      if (associations.trim() === '') throw new Error('there is not one association, not even root’s');
      const accounts = source.accounts === undefined ? undefined : await textOf(source, source.accounts);
      return parseSlurm({ associations, ...(accounts === undefined ? {} : { accounts }) }, source);
    }
  }
}

function textOf(source: SlurmSource, from: SlurmSource['associations']): Promise<string> {
  if ('file' in from) return readFile(from.file, 'utf8');
  return runCommand(from.command, { timeoutMs: source.timeoutSeconds * 1000 });
}
