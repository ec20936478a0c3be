// @ts-check
/** A WebSocket that reconnects with jittered backoff and detects dead connections with pings. */

const PING_INTERVAL_MS = 25_000;
/** The connection counts as dead if the server sends nothing for this long after a ping. */
const PONG_TIMEOUT_MS = 8_000;
/** The same in check(), where the connection is likely to be dead. */
const SHORT_PONG_TIMEOUT_MS = 3_000;
const FIRST_RECONNECT_DELAY_MS = 500;
const MAX_RECONNECT_DELAY_MS = 20_000;
/** Close codes after which connecting again at once cannot help: the session has ended; there are too many sockets of
 * this person, and each new one closes an older one. */
const SIGNED_OUT = 4001;
const TOO_MANY = 4008;
/** Too much waited for this client to read it, or the like: connect again, but not soon. */
const TOO_MUCH = 4009;

/** @typedef {"lost" | "signedOut" | "replaced"} Down */

export class LiveSocket {
  /** @type {WebSocket | null} */ #socket = null;
  #failures = 0;
  #closed = false;
  /** Whether to stay disconnected until the page is used again. */
  #parked = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #reconnectTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #pingTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #deadTimer;

  /**
   * @param {string} url
   * @param {{onOpen: () => void, onFrame: (frame: any) => void, onDown: (why: Down) => void}} handlers
   *   onOpen also runs after every reconnect; onDown runs once each time the connection is lost. After "signedOut" and
   *   "replaced" it is not opened again before use() or check().
   */
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends a frame; drops it while disconnected, so onOpen must send it again.
   * @param {object} frame */
  send(frame) {
    if (this.isOpen) this.#socket?.send(JSON.stringify(frame));
  }

  /** Call it when the tab becomes visible or the network changes: reconnects now, or pings with a short timeout. */
  check() {
    if (this.#closed) return;
    if (this.isOpen) this.#ping(SHORT_PONG_TIMEOUT_MS);
    else if (this.#socket?.readyState !== WebSocket.CONNECTING) this.#connect();
  }

  /** Call it when the person does something on the page: reconnects if the server has closed the socket for good. */
  use() {
    if (this.#parked) this.check();
  }

  /** Pings with the long timeout, which a busy server may need. */
  verify() {
    if (this.isOpen) this.#ping(PONG_TIMEOUT_MS);
  }

  /** Closes until the next check(). */
  disconnect() {
    clearTimeout(this.#reconnectTimer);
    this.#discardSocket();
  }

  close() {
    this.#closed = true;
    this.disconnect();
  }

  #connect() {
    clearTimeout(this.#reconnectTimer);
    this.#discardSocket();
    this.#parked = false;
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#deadTimer = setTimeout(() => this.#onLost(), PONG_TIMEOUT_MS);
    socket.onopen = () => {
      this.#ping(PONG_TIMEOUT_MS);
      this.handlers.onOpen();
    };
    socket.onmessage = (message) => this.#onMessage(message.data);
    socket.onclose = (event) => this.#onClose(event.code);
  }

  /** @param {string} data */
  #onMessage(data) {
    this.#failures = 0;
    clearTimeout(this.#deadTimer);
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => this.#ping(PONG_TIMEOUT_MS), PING_INTERVAL_MS);
    this.handlers.onFrame(JSON.parse(data));
  }

  /** @param {number} timeout in ms */
  #ping(timeout) {
    this.send({ type: "ping" });
    clearTimeout(this.#deadTimer);
    this.#deadTimer = setTimeout(() => this.#onLost(), timeout);
  }

  /** @param {number} code */
  #onClose(code) {
    if (code === TOO_MUCH) this.#failures = Infinity;
    if (code !== SIGNED_OUT && code !== TOO_MANY) return this.#onLost();
    this.#parked = true;
    this.#discardSocket();
    this.handlers.onDown(code === SIGNED_OUT ? "signedOut" : "replaced");
  }

  #onLost() {
    this.#discardSocket();
    this.handlers.onDown("lost");
    const delay = Math.min(MAX_RECONNECT_DELAY_MS, FIRST_RECONNECT_DELAY_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Jitter between 50 % and 100 %, so that pages do not all reconnect to a restarted server at once.
    this.#reconnectTimer = setTimeout(() => this.#connect(), delay * (0.5 + Math.random() / 2));
  }

  /** Discards the socket without waiting for its close event, which can take minutes on a dead connection. */
  #discardSocket() {
    clearTimeout(this.#pingTimer);
    clearTimeout(this.#deadTimer);
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}
