/** RESP, as far as a gateway must understand it. */
export { type CommandRead, command, failure, readCommand, simple } from './read-command.ts';
export { type CommandScanner, commandScanner } from './scan-commands.ts';
