// @ts-check
/** The course assistant's page. */
import { Chat } from "../conversations/chat.js";
import { takeErrand } from "./errand.js";

const { courseId = "", lessonId: opened = "" } = byId("chat").dataset;
let lessonId = opened;

const chat = new Chat({
  kind: "assistant.answer",
  url: "/api/assistant/query",
  name: `assistant:draft:${courseId}`,
  body: () => ({ courseId, ...(lessonId && { lessonId }) }),
  parameters: () => (lessonId ? { lesson: lessonId } : {}),
});

document.getElementById("no-lesson")?.addEventListener("click", () => {
  lessonId = "";
  byId("about-lesson").remove();
  chat.composer.input.placeholder = "Ask about this course";
  const address = new URL(location.href);
  address.searchParams.delete("lesson");
  history.replaceState(null, "", address);
  chat.composer.takeFocus();
});

const errand = takeErrand(lessonId);
if (errand && !chat.conversationId) chat.ask(errand);

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
