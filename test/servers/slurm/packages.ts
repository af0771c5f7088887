/** Debian's packages that the real Slurm needs, and whether its programs are here. The JWT and MySQL plugins are packages of their own. */
import { existsSync } from 'node:fs';

export const SLURM_PACKAGES = [
  'slurmctld',
  'slurmd',
  'slurmdbd',
  'slurmrestd',
  'slurm-client',
  'slurm-wlm-basic-plugins',
  'slurm-wlm-mysql-plugin',
  'slurm-wlm-jwt-plugin',
  'munge',
  'mariadb-server',
  'mariadb-client',
] as const;

const PROGRAMS = [
  '/usr/sbin/slurmctld',
  '/usr/sbin/slurmd',
  '/usr/sbin/slurmdbd',
  '/usr/sbin/slurmrestd',
  '/usr/bin/sacctmgr',
  '/usr/sbin/munged',
  '/usr/sbin/mariadbd',
] as const;

/** Why a real Slurm cannot run here, or undefined where it can. */
export function whyNoSlurm(): string | undefined {
  if (process.getuid?.() !== 0) return 'Slurm needs root: slurmd becomes the user of each job';
  const missing = PROGRAMS.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `no ${missing.join(', ')}; Debian packages: ${SLURM_PACKAGES.join(' ')}`;
}
