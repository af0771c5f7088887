/** How long records are kept and how often the chain is sealed: `audit.yaml` of the facility folder. Owns no state. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readYaml } from '../facility/index.ts';

const rulesSchema = z
  .strictObject({
    keepDays: z.number().int().min(1).max(36_500),
    partitionDays: z.number().int().min(1).max(366),
    checkpointRecords: z.number().int().min(100).max(1_000_000),
    checkpointMinutes: z.number().min(1).max(1440),
  })
  .partial();

export interface AuditRules {
  /** Records are kept at least this long. */
  readonly keepDays: number;
  /** A period, which is dropped as a whole, is this long. */
  readonly partitionDays: number;
  readonly checkpointRecords: number;
  readonly checkpointMinutes: number;
}

const DEFAULTS: AuditRules = { keepDays: 365, partitionDays: 30, checkpointRecords: 10_000, checkpointMinutes: 15 };

/** What the file leaves out, or all where there is no file, is as in docs/operate/audit.md. Throws YamlError. */
export function readAuditRules(facilityDir: string): AuditRules {
  const path = join(facilityDir, 'audit.yaml');
  if (!existsSync(path)) return DEFAULTS;
  const { keepDays, partitionDays, checkpointRecords, checkpointMinutes } = readYaml(path, rulesSchema);
  return {
    keepDays: keepDays ?? DEFAULTS.keepDays,
    partitionDays: partitionDays ?? DEFAULTS.partitionDays,
    checkpointRecords: checkpointRecords ?? DEFAULTS.checkpointRecords,
    checkpointMinutes: checkpointMinutes ?? DEFAULTS.checkpointMinutes,
  };
}
