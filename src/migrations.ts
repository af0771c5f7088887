/** All rooms' schema, in the order of their dependency, with the tables that the application's role may only add to. */
import { apiMigrations } from './api/index.ts';
import { auditMigrations } from './audit/index.ts';
import { computeMigrations } from './compute/index.ts';
import { databaseMigrations, type RoomMigrations } from './database/index.ts';
import { identityMigrations } from './identity/index.ts';
import { pathwayMigrations } from './pathway/index.ts';
import { policyMigrations } from './policy/index.ts';
import { streamingMigrations } from './streaming/index.ts';

export const MIGRATIONS: readonly RoomMigrations[] = [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record', 'audit_period', 'audit_checkpoint'] },
  { room: 'identity', migrations: identityMigrations },
  { room: 'policy', migrations: policyMigrations },
  { room: 'compute', migrations: computeMigrations },
  { room: 'streaming', migrations: streamingMigrations },
  { room: 'pathway', migrations: pathwayMigrations },
  { room: 'api', migrations: apiMigrations },
];
