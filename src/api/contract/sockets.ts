/** How a WebSocket of ours is opened: offer two subprotocols, SOCKET_PROTOCOL, which is what the server picks, and TICKET_PROTOCOL + ticket, so that the ticket stands in no URL and no access log. */
export const SOCKET_PROTOCOL = 'beamway.v1';
export const TICKET_PROTOCOL = 'beamway.ticket.';

/** Where a cluster's Slurm agent dials back with the ticket of a terminal that it was asked for. A socket only, no operation. */
export const TERMINAL_DIAL_BACK = '/beamway/v1/clusters/{id}/terminals';
