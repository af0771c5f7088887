/**
 * Where the embedded server keeps its data and sockets. One pure decision over facts about folders: beside the state
 * when the server's user can get there and nobody else can meddle, else in a short private place.
 * Owns no state; the choice is recorded by record.ts.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { OsUser } from './os-user.ts';

/** A unix socket's path holds at most 107 bytes (sun_path of unix(7) less its NUL). */
export const LONGEST_SOCKET_PATH_BYTES = 107;
/** Name of the socket for port 5432; the port only names the file, no TCP port is opened. */
export const SOCKET_NAME = '.s.PGSQL.5432';
export const SOCKET_PORT = 5432;
/** Where root keeps services whose state folder their user cannot reach. */
export const SERVICES_ROOT = '/var/lib/beamway';

/** What lstat says of one folder. */
export interface FolderFacts {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, with the sticky bit: 0o1777 and below. */
  readonly mode: number;
}

export interface PlaceFacts {
  /** Every folder from / down to the state folder itself, by real path. */
  readonly chain: readonly FolderFacts[];
  readonly us: OsUser;
  readonly service: OsUser;
  /** Random hex that tells this state from an earlier one at the same path; at least 8 digits. */
  readonly stateId: string;
  /** Folder for root's services; SERVICES_ROOT outside tests. */
  readonly servicesRoot: string;
}

export interface Place {
  /** Folder for data, configuration and log; null: `database/` in the state folder, wherever that is moved. */
  readonly elsewhere: string | null;
  readonly reason: 'beside-the-state' | 'state-not-reachable' | 'state-not-protected';
}

export function canTraverse(user: OsUser, folder: FolderFacts): boolean {
  if (user.uid === 0) return true;
  const shift = folder.uid === user.uid ? 6 : folder.gid === user.gid ? 3 : 0;
  return ((folder.mode >> shift) & 0o1) === 1;
}

/** Whether somebody other than root and `us` could rename what lies in this folder. */
export function canBeMeddledWith(us: OsUser, folder: FolderFacts): boolean {
  if (folder.uid !== 0 && folder.uid !== us.uid) return true;
  const sticky = (folder.mode & 0o1000) !== 0;
  return (folder.mode & 0o022) !== 0 && !sticky;
}

/**
 * Beside the state unless root runs us and the server's user cannot get there, or somebody else could swap a folder on
 * the way. Without root the server's user is ourselves, so it is always beside.
 */
export function decidePlace(facts: PlaceFacts): Place {
  const { chain, us, service, stateId, servicesRoot } = facts;
  if (us.uid !== 0) return { elsewhere: null, reason: 'beside-the-state' };
  const elsewhere = join(servicesRoot, placeName(chain.at(-1)?.path ?? '/', stateId));
  if (!chain.every((folder) => canTraverse(service, folder))) return { elsewhere, reason: 'state-not-reachable' };
  if (chain.some((folder) => canBeMeddledWith(us, folder))) return { elsewhere, reason: 'state-not-protected' };
  return { elsewhere: null, reason: 'beside-the-state' };
}

export function socketFits(folder: string): boolean {
  return Buffer.byteLength(join(folder, SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES;
}

/** Where sockets may go, best first: `privateRoot` is /run/user/UID or root's services; null when there is none. */
export function decideSocketFolder(base: string, privateRoot: string | null, stateId: string): string | null {
  const short = privateRoot === null ? [] : [join(privateRoot, `socket-${stateId}`)];
  return [join(base, 'socket'), ...short].find(socketFits) ?? null;
}

/** Short name of a state folder: 12 hex digits of its real path's SHA-256 and 8 of its id. */
export function placeName(statePath: string, stateId: string): string {
  return `${placePrefix(statePath)}${stateId.slice(0, 8)}`;
}

/** What every place of one state path begins with, whichever state was there. */
export function placePrefix(statePath: string): string {
  return `${createHash('sha256').update(statePath).digest('hex').slice(0, 12)}-`;
}
