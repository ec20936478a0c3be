// @ts-check
/** The card with the persona, its reasons and the learner's correction. Model text is never rendered as HTML. */

/** @typedef {{question: string, quote: string, meaning: string}} Reason */

export class PersonaCard {
  /**
   * @param {HTMLElement} card
   * @param {{onCorrect: (personaId: string) => void, onDelete: () => void}} handlers
   */
  constructor(card, { onCorrect, onDelete }) {
    this.card = card;
    this.choice = /** @type {HTMLSelectElement} */ (card.querySelector("select"));
    this.#part("correction").addEventListener("submit", (event) => {
      event.preventDefault();
      onCorrect(this.choice.value);
    });
    this.#part("delete").addEventListener("click", onDelete);
  }

  /** @param {any} profile null for none */
  show(profile) {
    this.card.hidden = !profile;
    this.#part("delete").closest("details")?.removeAttribute("open");
    if (!profile) return;
    const { persona, personaId, decidedBy, confidence, reasons } = profile;
    this.#say("name", persona?.name ?? (personaId ? "No persona fits you so far" : "Not worked out yet"));
    this.#say("description", persona ? `${persona.description} The assistant’s tone: ${persona.tone}.` : UNKNOWN);
    this.#say("source", sourceOf(decidedBy, confidence));
    this.#part("reasons").replaceChildren(...reasons.map(reasonItem));
    this.#part("reasons-title").hidden = !reasons.length;
    this.#part("mark").hidden = decidedBy !== "model" || !personaId;
    if (personaId) this.choice.value = personaId;
  }

  /** Moves the focus to the card after a change. */
  focus() {
    this.#part("name").focus();
  }

  /** @param {string} name @param {string} text */
  #say(name, text) {
    this.#part(name).textContent = text;
    this.#part(name).hidden = !text;
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.card.querySelector(`[data-part=${name}]`));
  }
}

const UNKNOWN = "The assistant talks to you as to any other learner.";

/** @param {string} decidedBy @param {number | null} confidence */
function sourceOf(decidedBy, confidence) {
  if (decidedBy === "learner") return "You said so yourself.";
  if (decidedBy === "staff") return "Set by the platform’s staff.";
  return confidence === null ? "" : `${Math.round(confidence * 100)} % sure`;
}

/** @param {Reason} reason */
function reasonItem({ question, quote, meaning }) {
  const item = document.createElement("li");
  const words = document.createElement("q");
  words.textContent = quote;
  const asked = document.createElement("span");
  asked.className = "meta";
  asked.textContent = `Your answer to: ${question}`;
  item.append(words, ` ${meaning}`, asked);
  return item;
}
