// @ts-check
/** The contact form, which hands a visitor over to staff. */
import { request } from "../../jobs/http.js";
import { part } from "./markup.js";

/** @typedef {import("../../jobs/client.js").ApiError} ApiError */

const URL = "/api/landing-assistant/contact";

export class Contact {
  #isSending = false;

  /**
   * @param {HTMLFormElement} form
   * @param {{conversationId: () => string, onSent: (message: string) => void}} surroundings
   */
  constructor(form, surroundings) {
    this.form = form;
    this.surroundings = surroundings;
    this.problem = part(form, "contact-problem");
    form.addEventListener("submit", (event) => this.#submit(event));
  }

  /** @param {boolean} shown */
  show(shown) {
    this.form.hidden = !shown;
    this.#say("");
    part(this.form, "with-talk").hidden = !this.surroundings.conversationId();
  }

  focus() {
    /** @type {HTMLElement} */ (this.form.querySelector("input")).focus();
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    if (this.#isSending) return;
    this.#isSending = true;
    this.#say("");
    try {
      const conversationId = this.surroundings.conversationId() || null;
      const payload = JSON.stringify({ ...Object.fromEntries(new FormData(this.form)), conversationId });
      const { message } = await request("POST", URL, { payload });
      this.form.reset();
      this.surroundings.onSent(message);
    } catch (error) {
      this.#say(`Your message was not sent. ${/** @type {ApiError} */ (error).message}`);
    } finally {
      this.#isSending = false;
    }
  }

  /** @param {string} text */
  #say(text) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
  }
}
