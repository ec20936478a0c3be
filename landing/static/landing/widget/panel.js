// @ts-check
/** The panel: the conversation or the contact form. */
import { explain } from "../../conversations/problems.js";
import { Contact } from "./contact.js";
import { element, PANEL, part } from "./markup.js";
import { Talk } from "./talk.js";

/** @typedef {import("../../jobs/client.js").ApiError} ApiError */
/** @typedef {import("../../jobs/client.js").Connection} Connection */

const NEAR = 80;
const SHOW_LOST_AFTER_MS = 2_000;

export class Panel {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #isBusy = false;
  #isAtEnd = true;

  /** @param {ShadowRoot} root @param {() => void} onClosed */
  constructor(root, onClosed) {
    this.onClosed = onClosed;
    this.box = element(PANEL);
    this.box.hidden = true;
    root.append(this.box);
    this.log = part(this.box, "log");
    this.input = /** @type {HTMLTextAreaElement} */ (this.box.querySelector("#question"));
    this.talk = new Talk(part(this.box, "messages"), {
      onBusy: (isBusy) => this.#setBusy(isBusy),
      onGrown: () => this.#follow(),
      announce: (text) => (part(this.box, "announcer").textContent = text),
      onConnection: (state) => this.#showConnection(state),
    });
    this.contact = new Contact(part(this.box, "contact"), {
      conversationId: () => this.talk.conversationId,
      onSent: (message) => this.#sent(message),
    });
    this.#wire();
    this.#resume();
  }

  /** @param {string} what "ask" or "contact" @param {boolean} quietly without taking the focus */
  open(what, quietly) {
    this.box.hidden = false;
    this.#turnTo(what);
    if (!quietly) this.#focus(what);
    this.#follow();
  }

  close() {
    this.box.hidden = true;
    this.onClosed();
  }

  #wire() {
    const click = (/** @type {string} */ name, /** @type {() => void} */ then) =>
      part(this.box, name).addEventListener("click", then);
    click("close", () => this.close());
    click("to-contact", () => this.open("contact", false));
    click("back", () => this.open("ask", false));
    click("back-again", () => this.open("ask", false));
    click("new", () => this.#begin());
    click("stop", () => this.#try(() => this.talk.stop()));
    for (const button of part(this.box, "suggestions").querySelectorAll("button")) {
      button.addEventListener("click", () => this.#send(button.textContent ?? ""));
    }
    this.box.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.log.addEventListener("scroll", () => (this.#isAtEnd = this.#distance < NEAR), { passive: true });
    this.input.addEventListener("keydown", (event) => this.#key(event));
    part(this.box, "composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(this.input.value);
    });
  }

  #resume() {
    return this.#try(() => this.talk.resume());
  }

  /** @param {string} text */
  async #send(text) {
    const question = text.trim();
    if (!question || this.#isBusy) return this.input.focus();
    this.input.value = "";
    this.#isAtEnd = true;
    const accepted = await this.#try(() => this.talk.ask(question));
    if (!accepted && !this.input.value) this.input.value = question;
  }

  /** Runs the function and shows its error, if any; returns whether it succeeded. @param {() => Promise<void>} what */
  async #try(what) {
    this.#say("");
    try {
      await what();
      return true;
    } catch (caught) {
      const { message, seconds = 0 } = explain(/** @type {ApiError} */ (caught));
      this.#say(seconds > 90 ? `${message} (In ${Math.ceil(seconds / 60)} minutes.)` : message);
      return false;
    } finally {
      this.#showWelcome();
    }
  }

  #begin() {
    this.talk.forget();
    this.#say("");
    this.#showWelcome();
    this.input.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // Enter also confirms IME input (Japanese, Chinese, ...), which must not send the question.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#send(this.input.value);
  }

  /** @param {string} what */
  #turnTo(what) {
    part(this.box, "talk").hidden = what !== "ask";
    part(this.box, "sent").hidden = what !== "sent";
    part(this.box, "to-contact").hidden = what !== "ask";
    this.contact.show(what === "contact");
    this.#showWelcome();
  }

  /** @param {string} what */
  #focus(what) {
    if (what === "contact") this.contact.focus();
    // On a touch screen, focusing the text box would open the keyboard over the welcome text.
    else if (matchMedia("(pointer: fine)").matches) this.input.focus();
    else this.box.focus();
  }

  /** @param {string} message */
  #sent(message) {
    this.#turnTo("sent");
    const text = part(this.box, "sent-text");
    text.textContent = message;
    text.focus();
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    const had = [part(this.box, "send"), part(this.box, "stop")].some((button) => button.matches(":focus"));
    this.#isBusy = isBusy;
    part(this.box, "send").hidden = isBusy;
    part(this.box, "stop").hidden = !isBusy;
    if (had) part(this.box, isBusy ? "stop" : "send").focus();
    this.#showWelcome();
  }

  #showWelcome() {
    const isEmpty = !part(this.box, "messages").hasChildNodes();
    part(this.box, "welcome").hidden = !isEmpty;
    part(this.box, "new").hidden = isEmpty || this.#isBusy || part(this.box, "talk").hidden;
  }

  /** Shows the connection state; a short interruption is not reported. @param {Connection} state */
  #showConnection(state) {
    clearTimeout(this.#timer);
    const line = part(this.box, "connection");
    if (state === "connected") line.hidden = true;
    else this.#timer = setTimeout(() => Object.assign(line, LOST), SHOW_LOST_AFTER_MS);
  }

  /** @param {string} message */
  #say(message) {
    const line = part(this.box, "problem");
    line.textContent = message;
    line.hidden = !message;
  }

  get #distance() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;
  }

  /** Scrolls to new text if the reader is at the end. */
  #follow() {
    if (this.#isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}

const LOST = { textContent: "Connection lost. Reconnecting; nothing is lost.", hidden: false };
