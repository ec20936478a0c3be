// @ts-check
/** A WebSocket that stays: reconnects with jitter and notices when the line is dead though nobody said so. */

const PING_EVERY = 25_000;
const ANSWER_WITHIN = 8_000;
const ANSWER_SOON = 3_000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 20_000;

export class LiveSocket {
  /** @type {WebSocket | null} */ #socket = null;
  #failures = 0;
  #closed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #reconnectTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #pingTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #deadTimer;

  /**
   * @param {string} url
   * @param {{onOpen: () => void, onFrame: (frame: any) => void, onDown: () => void}} handlers
   *   onOpen also after every reconnect; onDown once for each time the line goes down.
   */
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends one frame; does nothing while the line is down: onOpen is the time to say it again.
   * @param {object} frame */
  send(frame) {
    if (this.isOpen) this.#socket?.send(JSON.stringify(frame));
  }

  /** The tab is back, or the network went or returned: reconnect now, or prove soon that the line still lives. */
  check() {
    if (this.#closed) return;
    if (this.isOpen) this.#ping(ANSWER_SOON);
    else if (this.#socket?.readyState !== WebSocket.CONNECTING) this.#connect();
  }

  /** Proves that the line still lives, with the patience that a busy server needs. */
  prove() {
    if (this.isOpen) this.#ping(ANSWER_WITHIN);
  }

  /** Closes until the next check(). */
  rest() {
    clearTimeout(this.#reconnectTimer);
    this.#drop();
  }

  close() {
    this.#closed = true;
    this.rest();
  }

  #connect() {
    clearTimeout(this.#reconnectTimer);
    this.#drop();
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#deadTimer = setTimeout(() => this.#lost(), ANSWER_WITHIN);
    socket.onopen = () => {
      this.#ping(ANSWER_WITHIN);
      this.handlers.onOpen();
    };
    socket.onmessage = (message) => this.#heard(message.data);
    socket.onclose = () => this.#lost();
  }

  /** @param {string} data */
  #heard(data) {
    this.#failures = 0;
    clearTimeout(this.#deadTimer);
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => this.#ping(ANSWER_WITHIN), PING_EVERY);
    this.handlers.onFrame(JSON.parse(data));
  }

  /** @param {number} within */
  #ping(within) {
    this.send({ type: "ping" });
    clearTimeout(this.#deadTimer);
    this.#deadTimer = setTimeout(() => this.#lost(), within);
  }

  #lost() {
    this.#drop();
    this.handlers.onDown();
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures);
    this.#failures += 1;
    // Between half and all of it: a restarted server is not met by everybody at once.
    this.#reconnectTimer = setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2));
  }

  /** Lets go of the present socket without waiting: closing a dead line can take minutes to be confirmed. */
  #drop() {
    clearTimeout(this.#pingTimer);
    clearTimeout(this.#deadTimer);
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}
