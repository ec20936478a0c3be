// @ts-check
/** Insights: open questions and themes of learners, without names. */
import { citationAddress } from "../conversations/citations.js";
import { request } from "../jobs/http.js";
import { byId, clone, counted, element, part, showCount, showProblem } from "./parts.js";

/** @typedef {{questionId: number, text: string, trouble: string, askedOn: string}} OpenQuestion */
/**
 * @typedef {{lessonId: string, title: string, heading: string, questions: number, troubled: number,
 *   learners: number | null}} Theme
 */

/** @type {Record<string, string>} */
const TROUBLES = {
  unanswered: "No answer could be given",
  not_covered: "The course does not cover it",
  disliked: "The answer was rated bad",
};

export class Learners {
  /** @param {{api: string, lessonUrl: string, onReply: (question: OpenQuestion) => void}} options */
  constructor({ api, lessonUrl, onReply }) {
    this.api = api;
    this.lessonUrl = lessonUrl;
    this.onReply = onReply;
    const { mayOpen, threadUrl = "" } = byId("learners").dataset;
    this.threadUrl = mayOpen ? threadUrl : "";
    this.load();
  }

  async load() {
    try {
      this.#show(await request("GET", `${this.api}/insights`));
      showProblem(byId("learners-problem"));
    } catch (error) {
      showProblem(byId("learners-problem"), error);
    }
  }

  /** @param {any} insights */
  #show({ days, questions, learners, themes, open, withheld }) {
    const who = learners === null ? "" : ` of ${learners} learners`;
    byId("learners-sum").textContent = `${counted(questions, "question")}${who} in the last ${days} days`;
    byId("question-list").replaceChildren(...open.map((/** @type {OpenQuestion} */ one) => this.#question(one)));
    byId("theme-list").replaceChildren(...themes.map((/** @type {Theme} */ theme) => this.#theme(theme)));
    byId("no-questions").hidden = open.length > 0 || withheld > 0;
    byId("no-themes").hidden = themes.length > 0;
    byId("withheld").hidden = withheld === 0;
    byId("withheld").textContent = `${counted(withheld, "open question")} not shown: the text could tell who asked.`;
    showCount(byId("open-count"), open.length);
  }

  /** @param {OpenQuestion} question */
  #question(question) {
    const item = clone("question-item-template");
    part(item, "text").textContent = question.text;
    part(item, "why").textContent = `${TROUBLES[question.trouble]} · ${question.askedOn}`;
    part(item, "reply").addEventListener("click", () => this.onReply(question));
    const thread = /** @type {HTMLAnchorElement} */ (part(item, "thread"));
    thread.hidden = !this.threadUrl;
    if (this.threadUrl) thread.href = this.threadUrl.replace("/0/", `/${question.questionId}/`);
    return item;
  }

  /** @param {Theme} theme */
  #theme(theme) {
    const { title, heading, questions, troubled, learners } = theme;
    const section = heading.split(" > ").at(-1);
    const counts = [
      counted(questions, "question") + (learners === null ? "" : ` of ${learners} learners`),
      ...(troubled ? [`${troubled} not answered well`] : []),
    ];
    const href = citationAddress(this.lessonUrl, { n: 0, ...theme });
    const name = section && section !== title ? `${title} › ${section}` : title;
    return element(
      "li",
      {},
      element("a", { href, textContent: name }),
      element("span", { className: "meta", textContent: counts.join(" · ") }),
    );
  }
}
