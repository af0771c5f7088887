/** The door of the room `slurm`, for the composition roots of its two processes. */
export { openAgentLink } from './agent/agent-link.ts';
export { dialBack } from './agent/dial-back.ts';
export { openAgent } from './agent/open-agent.ts';
export { openTerminals } from './agent/open-terminal.ts';
export { type AgentSettings, agentSettingsSchema } from './agent/settings.ts';
export { checkPath } from './authority/job-paths.ts';
export { loadMapping, mapper } from './authority/mapping.ts';
export { ownUids, readOwnFile, SECRET, WRITTEN_BY_OWNER_ONLY } from './authority/own-file.ts';
export { openSigner } from './authority/signer.ts';
export { signerClient } from './authority/signer-client.ts';
export { openUnixDatabase } from './authority/unix-database.ts';
export { openCommand } from './command/open-command.ts';
export { SlurmFailure } from './contract/index.ts';
export { openPolicy } from './policy/open-policy.ts';
export { plainReason } from './reasons/plain-reason.ts';
export { watchReservations } from './reasons/watch-reservations.ts';
export { openRest } from './rest/open-rest.ts';
