// @ts-check
/** The form with the questions. */

/** @typedef {{key: string, question: string, answer: string}} Answered */

export class Questionnaire {
  /** @param {HTMLFormElement} form @param {(answers: Record<string, string>) => void} onSend */
  constructor(form, onSend) {
    this.form = form;
    this.send = /** @type {HTMLButtonElement} */ (form.querySelector("[data-part=send]"));
    this.newer = /** @type {HTMLElement} */ (form.querySelector("[data-part=newer]"));
    this.send.disabled = false; // disabled until this script handles the click
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.send.getAttribute("aria-disabled") === "true") return;
      this.mark({});
      onSend(this.answers());
    });
  }

  answers() {
    const entries = [...new FormData(this.form)].map(([key, value]) => [key, String(value).trim()]);
    return Object.fromEntries(entries.filter(([, value]) => value));
  }

  /** Fills in the stored answers of questions that still exist. @param {any} profile */
  fill(profile) {
    this.newer.hidden = !profile || profile.isCurrent;
    for (const { key, answer } of /** @type {Answered[]} */ (profile?.answers ?? [])) {
      const field = this.form.elements.namedItem(key);
      if (field instanceof RadioNodeList || field instanceof HTMLTextAreaElement) field.value = answer;
    }
    this.send.textContent = profile ? "Find out again" : "Find out";
  }

  empty() {
    this.form.reset();
    this.fill(null);
  }

  /** @param {boolean} isHeld while a job classifies the answers */
  hold(isHeld) {
    this.send.setAttribute("aria-disabled", String(isHeld));
  }

  /** Shows the error of each answer at its question. @param {Record<string, string[]> | undefined} wrong */
  mark(wrong) {
    if (!wrong) return false;
    for (const field of /** @type {NodeListOf<HTMLElement>} */ (this.form.querySelectorAll("[data-key]"))) {
      const said = /** @type {HTMLElement} */ (field.querySelector("[data-part=wrong]"));
      said.textContent = wrong[field.dataset.key ?? ""]?.[0] ?? "";
      said.hidden = !said.textContent;
    }
    const first = this.form.querySelector("[data-part=wrong]:not([hidden])")?.closest("[data-key]");
    /** @type {HTMLElement | null | undefined} */ (first?.querySelector("input, textarea"))?.focus();
    return true;
  }
}
