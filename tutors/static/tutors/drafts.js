// @ts-check
/** The course's drafts: open ones and accepted ones. */
import { request } from "../jobs/http.js";
import { DraftCard } from "./draft.js";
import { byId, part, showCount, showProblem } from "./parts.js";

/** @typedef {import("./draft.js").Draft} Draft */
/** @typedef {import("../jobs/client.js").JobsClient} JobsClient */

export class Drafts {
  /** @type {Map<string, DraftCard>} */ #cards = new Map();

  /** @param {{api: string, lessonUrl: string, client: JobsClient, onDecided: () => void}} options */
  constructor({ api, lessonUrl, client, onDecided }) {
    this.url = `${api}/drafts`;
    this.surroundings = {
      url: this.url,
      lessonUrl,
      client,
      onDecided: () => {
        onDecided();
        this.load();
      },
    };
    this.load();
  }

  /** Loads and shows the drafts. Cards that are being edited or rewritten stay unchanged. */
  async load() {
    try {
      const [open, accepted] = await Promise.all([
        request("GET", `${this.url}?limit=200`),
        request("GET", `${this.url}?status=accepted`),
      ]);
      this.#show(open.results);
      this.#showAccepted(accepted.results);
      showProblem(byId("drafts-problem"));
    } catch (error) {
      showProblem(byId("drafts-problem"), error);
    }
  }

  /** @param {Draft[]} drafts */
  #show(drafts) {
    const cards = new Map(drafts.map((draft) => [draft.draftId, this.#card(draft)]));
    const list = byId("draft-list");
    for (const [id, card] of this.#cards) if (!cards.has(id)) card.element.remove();
    // Insert only new cards, because moving an element loses its focus.
    let place = list.firstElementChild;
    for (const { element } of cards.values()) {
      if (element === place) place = place.nextElementSibling;
      else list.insertBefore(element, place);
    }
    this.#cards = cards;
    byId("no-drafts").hidden = drafts.length > 0;
    showCount(byId("draft-count"), drafts.length);
  }

  /** @param {Draft} draft */
  #card(draft) {
    const card = this.#cards.get(draft.draftId) ?? new DraftCard(draft, this.surroundings);
    card.update(draft);
    return card;
  }

  /** @param {Draft[]} drafts */
  #showAccepted(drafts) {
    const details = byId("accepted");
    details.hidden = drafts.length === 0;
    part(details, "count").textContent = `(${drafts.length})`;
    part(details, "list").replaceChildren(
      ...drafts.map((draft) => new DraftCard(draft, this.surroundings).element),
    );
  }
}
