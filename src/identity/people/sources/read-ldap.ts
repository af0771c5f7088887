/**
 * Reads people and groups from a directory: ldaps or StartTLS with the certificate checked, bind by a 0600 password file, pages, time limits. Nothing is
 * taken from an answer that did not come whole.
 */
import { readFileSync, statSync } from 'node:fs';
import { Client, type Entry, ResultCodeError } from 'ldapts';
import type { LdapSource } from '../people-settings.ts';
import type { Reading } from '../person.ts';
import { groupFilter, type LdapEntry, MEMBER_ATTRIBUTES, parseLdap } from './ldap.ts';

/** Rejects with what the directory or the network says; never with the password. */
export async function readLdap(source: LdapSource): Promise<Reading> {
  const { people, groups } = source;
  const timeout = source.timeoutSeconds * 1000;
  const host = new URL(source.url).hostname;
  const tls = source.caFile === undefined ? { host } : { host, ca: readFileSync(source.caFile) };
  const password = source.bindPasswordFile === undefined ? undefined : readSecret(source.bindPasswordFile);
  const client = new Client({
    url: source.url,
    timeout,
    connectTimeout: timeout,
    ...(source.url.startsWith('ldaps:') ? { tlsOptions: tls } : {}),
  });
  try {
    if (source.startTls) await client.startTLS(tls);
    if (source.bindDn !== undefined && password !== undefined) await client.bind(source.bindDn, password);
    const search = async (
      base: string,
      filter: string,
      attributes: readonly string[],
    ): Promise<readonly LdapEntry[]> => {
      const { searchEntries } = await client.search(base, {
        scope: 'sub',
        filter,
        attributes: [...new Set(attributes)],
        paged: { pageSize: source.pageSize },
        timeLimit: source.timeoutSeconds,
      });
      return searchEntries.map(entryFrom);
    };
    const marks = people.disabled === undefined ? [] : [people.disabled.attribute];
    const leads = groups.leads === undefined ? [] : [groups.leads];
    const persons = await search(people.base, people.filter, [people.subject, people.name, people.mail, ...marks]);
    const found = await search(groups.base, groupFilter(groups), [
      groups.name,
      groups.title,
      ...leads,
      ...MEMBER_ATTRIBUTES,
    ]);
    return parseLdap(persons, found, source);
  } catch (cause) {
    if (!(cause instanceof ResultCodeError)) throw cause;
    // Many directories send no text with their code: the class says what it means.
    const meaning = cause.constructor.name
      .replace(/Error$/, '')
      .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
      .toLowerCase();
    throw new Error(`the directory answers: ${meaning} (${cause.message.trim()})`, { cause });
  } finally {
    await client.unbind().catch(() => undefined);
  }
}

function readSecret(path: string): string {
  if ((statSync(path).mode & 0o077) !== 0) throw new Error(`${path} can be read by others; run: chmod 600 ${path}`);
  return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
}

function entryFrom({ dn, ...attributes }: Entry): LdapEntry {
  return {
    dn,
    attributes: new Map(
      Object.entries(attributes).map(([name, value]) => {
        const list: readonly (string | Buffer)[] = Array.isArray(value) ? value : [value];
        return [name.toLowerCase(), list.map((v) => (typeof v === 'string' ? v : v.toString('utf8')))];
      }),
    ),
  };
}
