// @ts-check
/** The course assistant's page. */
import { Chat } from "../conversations/chat.js";

const { courseId = "" } = /** @type {HTMLElement} */ (document.getElementById("chat")).dataset;

new Chat({ url: "/api/assistant/query", name: `assistant:draft:${courseId}`, body: () => ({ courseId }) });
