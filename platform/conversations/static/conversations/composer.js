// @ts-check
/** The text box for questions. It keeps the typed text across reloads until the server has accepted the question. */

const MAX_QUESTION_CHARS = 4_000;
const NEAR = 3_600;

export class Composer {
  /** @type {ReturnType<typeof setInterval> | undefined} */ #countdown;

  /**
   * @param {HTMLFormElement} form
   * @param {{onSend: (question: string) => void, onStop: () => void, draftKey: () => string}} handlers
   *   draftKey returns the sessionStorage key of the unsent question
   */
  constructor(form, handlers) {
    this.handlers = handlers;
    this.input = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("question"));
    this.send = /** @type {HTMLButtonElement} */ (form.querySelector("[data-part=send]"));
    this.stop = /** @type {HTMLButtonElement} */ (form.querySelector("[data-part=stop]"));
    this.counter = /** @type {HTMLElement} */ (form.querySelector("[data-part=counter]"));
    this.error = /** @type {HTMLElement} */ (form.querySelector("[data-part=error]"));
    form.addEventListener("submit", (event) => this.#submit(event));
    this.input.addEventListener("keydown", (event) => this.#key(event, form));
    this.input.addEventListener("input", () => this.#changed());
    this.stop.addEventListener("click", () => this.#stopped());
    // Until this script ran, the buttons were disabled so that the form could not submit itself; text may be typed already.
    this.text = this.text || this.#draft;
    this.send.disabled = false;
  }

  get text() {
    return this.input.value;
  }

  set text(value) {
    this.input.value = value;
    this.#changed();
  }

  /** Empties the box while the question is being sent, but keeps the draft. */
  hold() {
    this.showError("");
    this.input.value = "";
    this.input.readOnly = true;
    this.#fit();
    this.#count();
  }

  /** Deletes the draft after the question was accepted. */
  accepted() {
    this.input.readOnly = false;
    this.#keepDraft("");
  }

  /** Puts a refused question back into the box. @param {string} question */
  giveBack(question) {
    this.input.readOnly = false;
    this.text = question;
    this.focus();
  }

  /** Shows Stop in place of Send while an answer is being written. @param {boolean} running */
  setRunning(running) {
    const hadFocus = document.activeElement === this.send || document.activeElement === this.stop;
    this.send.hidden = running;
    this.stop.hidden = !running;
    this.stop.removeAttribute("aria-disabled");
    if (hadFocus) this.takeFocus();
  }

  /**
   * @param {string} message empty to hide the current one
   * @param {{seconds?: number | undefined, link?: {href: string, text: string}}} [more] seconds to count down, a link
   */
  showError(message, { seconds = 0, link } = {}) {
    clearInterval(this.#countdown);
    this.error.hidden = !message;
    this.error.textContent = message;
    if (link) {
      const { href, text: textContent } = link;
      this.error.append(" ", Object.assign(document.createElement("a"), { href, textContent }));
    }
    if (seconds > 0) this.#countDown(Date.now() + seconds * 1000);
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  /** Sets the focus after its button was hidden; not to the box on touch screens, which would open the keyboard. */
  takeFocus() {
    if (matchMedia("(pointer: fine)").matches) this.focus();
    else (this.send.hidden ? this.stop : this.send).focus({ preventScroll: true });
  }

  /** @param {number} due */
  #countDown(due) {
    // Outside the alert, because otherwise a screen reader would announce every second.
    const clock = document.createElement("span");
    clock.setAttribute("aria-live", "off");
    this.error.append(" ", clock);
    const tick = () => {
      const left = Math.ceil((due - Date.now()) / 1000);
      clock.textContent = left > 0 ? `You can send it in ${left} s.` : "You can send it now.";
      if (left <= 0) clearInterval(this.#countdown);
    };
    tick();
    this.#countdown = setInterval(tick, 1000);
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const question = this.text.trim();
    if (this.send.hidden || this.input.readOnly) return;
    if (!question) return this.focus();
    if (length(question) > MAX_QUESTION_CHARS) {
      return this.showError(`Please shorten the question to ${format(MAX_QUESTION_CHARS)} characters.`);
    }
    this.handlers.onSend(question);
  }

  #stopped() {
    if (this.stop.ariaDisabled) return;
    // Not `disabled`, which would lose the focus.
    this.stop.setAttribute("aria-disabled", "true");
    this.handlers.onStop();
  }

  /** @param {KeyboardEvent} event @param {HTMLFormElement} form */
  #key(event, form) {
    // Enter also confirms IME input (Japanese, Chinese, ...), which must not send the question.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit();
  }

  #changed() {
    this.#keepDraft(this.text);
    this.#fit();
    this.#count();
  }

  /** Resizes the box to its text in browsers without the CSS property field-sizing. */
  #fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  #count() {
    const characters = length(this.text);
    this.counter.hidden = characters < NEAR;
    this.counter.textContent = `${format(characters)} of ${format(MAX_QUESTION_CHARS)} characters`;
    this.counter.classList.toggle("is-over", characters > MAX_QUESTION_CHARS);
  }

  get #draft() {
    try {
      return sessionStorage.getItem(this.handlers.draftKey()) ?? "";
    } catch {
      return "";
    }
  }

  /** @param {string} text */
  #keepDraft(text) {
    try {
      if (text) sessionStorage.setItem(this.handlers.draftKey(), text);
      else sessionStorage.removeItem(this.handlers.draftKey());
    } catch {
      // Storage is full or blocked: the box still holds the text.
    }
  }
}

/** Counts characters like the server: an emoji is one. @param {string} text */
function length(text) {
  return [...text].length;
}

/** @param {number} number */
function format(number) {
  return number.toLocaleString("en");
}
