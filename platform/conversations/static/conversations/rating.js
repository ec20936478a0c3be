// @ts-check
/** The rating of an answer: thumbs up or down, and an optional reason. */

/** @typedef {"up" | "down" | null} Rating */
/** @typedef {(rating: Rating, reason: string) => Promise<void>} Rate keeps it; throws when it was not kept */

export class RatingView {
  /** @type {Rating} */ #rating = null;

  /** @param {HTMLElement} answer has the parts "rating" and "reason" @param {Rate} rate */
  constructor(answer, rate) {
    this.rate = rate;
    this.buttons = /** @type {HTMLButtonElement[]} */ ([...answer.querySelectorAll("[data-rating]")]);
    this.form = /** @type {HTMLFormElement} */ (answer.querySelector("[data-part=reason]"));
    this.input = /** @type {HTMLInputElement} */ (this.form.elements.namedItem("reason"));
    this.thanks = /** @type {HTMLElement} */ (answer.querySelector("[data-part=thanks]"));
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.#choose(/** @type {Rating} */ (button.dataset.rating)));
    }
    this.form.addEventListener("submit", (event) => this.#explain(event));
  }

  /** Shows the stored rating. @param {Rating} rating @param {string} reason */
  show(rating, reason) {
    this.#mark(rating);
    this.input.value = reason;
  }

  /** @param {Rating} chosen the current rating again removes it */
  async #choose(chosen) {
    const before = this.#rating;
    const rating = chosen === before ? null : chosen;
    this.#mark(rating);
    this.form.hidden = rating === null;
    this.input.placeholder = rating === "up" ? "What helped? (optional)" : "What was wrong? (optional)";
    this.input.value = "";
    this.thanks.textContent = "";
    if (!(await this.#keep(rating, ""))) this.#mark(before);
  }

  /** @param {Event} event */
  async #explain(event) {
    event.preventDefault();
    if (!(await this.#keep(this.#rating, this.input.value.trim()))) return;
    this.form.hidden = true;
    this.thanks.textContent = "Thank you. Staff will see it.";
  }

  /** @param {Rating} rating @param {string} reason */
  async #keep(rating, reason) {
    try {
      await this.rate(rating, reason);
      return true;
    } catch {
      this.thanks.textContent = "That could not be saved. Please try again.";
      return false;
    }
  }

  /** @param {Rating} rating */
  #mark(rating) {
    this.#rating = rating;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.rating === rating));
    }
  }
}
