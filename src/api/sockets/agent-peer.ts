/** A WebSocket as the peer that compute/slurm/agent-links.ts speaks to: whole texts, one end. */
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../clock.ts';
import type { AgentPeer } from '../../compute/index.ts';
import { LONGEST_FRAME_BYTES } from '../../slurm/contract/index.ts';
import { CLOSE, closeSocket } from './keep-open.ts';

export function agentPeer(socket: WebSocket, clock: Clock): AgentPeer {
  const isOpen = (): boolean => socket.readyState === socket.OPEN;
  return {
    send(text) {
      if (!isOpen()) return;
      // It does not read what it is asked: better no link than our memory full of questions.
      if (socket.bufferedAmount > LONGEST_FRAME_BYTES) return socket.terminate();
      socket.send(text);
    },
    close: (reason) => closeSocket(socket, clock, { code: CLOSE.ended, reason }),
    onText(listener) {
      socket.on('message', (data: RawData, isBinary) => {
        // Whatever comes after we said goodbye is not heard: it may be from a bearer that was revoked.
        if (!isOpen()) return;
        if (isBinary) closeSocket(socket, clock, { code: CLOSE.ended, reason: 'frames are text' });
        else listener(data.toString());
      });
    },
    onClose: (listener) => void socket.once('close', listener),
  };
}
