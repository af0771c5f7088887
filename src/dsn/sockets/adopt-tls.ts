/** Takes over an accepted socket as the server's end of TLS. What it decrypts is copied into the reader's regions: Node hands it out in buffers of its own. */
import type net from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { copyData, type InPlaceReader } from './adopt-socket.ts';

export function adoptTls(accepted: net.Socket, reader: InPlaceReader, secureContext: SecureContext): TLSSocket {
  const socket = new TLSSocket(accepted, { isServer: true, secureContext });
  copyData(socket, reader);
  return socket;
}
