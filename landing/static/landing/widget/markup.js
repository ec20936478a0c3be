// @ts-check
/** The widget's HTML. All of it is constant. */

export const MAX_QUESTION_CHARS = 500;

export const PANEL = `
  <section class="panel" role="dialog" aria-labelledby="title" tabindex="-1" data-testid="widget">
    <header>
      <h2 id="title">Ask us</h2>
      <button type="button" class="quiet" data-part="new" hidden>New chat</button>
      <button type="button" class="quiet" data-part="to-contact">Write to us</button>
      <button type="button" class="icon" data-part="close" aria-label="Close" data-testid="widget-close">
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="m6 6 12 12M18 6 6 18"/></svg>
      </button>
    </header>
    <div class="talk" data-part="talk">
      <div class="log" data-part="log" tabindex="0" role="region" aria-label="Conversation">
        <div class="welcome" data-part="welcome">
          <p>An AI assistant answers questions about our courses, from what is on this site. If it does not know, a
            person answers by e-mail.</p>
          <ul data-part="suggestions">
            <li><button type="button">What courses do you offer?</button></li>
            <li><button type="button">How much do the courses cost?</button></li>
            <li><button type="button">Can I get a refund?</button></li>
          </ul>
        </div>
        <ol data-part="messages"></ol>
      </div>
      <p class="note" data-part="connection" role="status" hidden></p>
      <p class="problem" data-part="problem" role="alert" data-testid="widget-problem" hidden></p>
      <form class="composer" data-part="composer">
        <label class="visually-hidden" for="question">Your question</label>
        <textarea id="question" name="question" rows="1" maxlength="${MAX_QUESTION_CHARS}" placeholder="Ask about our courses"
                  autocomplete="off" enterkeyhint="send" data-testid="widget-question"></textarea>
        <button type="submit" class="round-button" data-part="send" aria-label="Send" data-testid="widget-send">
          <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 20V5m-6.5 6.5L12 5l6.5 6.5"/></svg>
        </button>
        <button type="button" class="round-button" data-part="stop" aria-label="Stop" hidden>
          <svg viewBox="0 0 24 24" aria-hidden="true"><rect x="6" y="6" width="12" height="12" rx="2.5"/></svg>
        </button>
      </form>
    </div>
    <form class="contact" data-part="contact" data-testid="widget-contact" hidden>
      <p data-part="what">A person reads your message and answers by e-mail. We use your address for nothing else.
        <span data-part="with-talk">This chat is sent with it.</span></p>
      <label for="name">Name (optional)</label>
      <input id="name" name="name" maxlength="100" autocomplete="name">
      <label for="email">E-mail</label>
      <input id="email" name="email" type="email" required maxlength="254" autocomplete="email">
      <label for="message">Message</label>
      <textarea id="message" name="message" required maxlength="2000" rows="5"></textarea>
      <p class="problem" data-part="contact-problem" role="alert" hidden></p>
      <p class="buttons">
        <button type="submit" class="filled" data-testid="widget-contact-send">Send message</button>
        <button type="button" class="quiet" data-part="back">Back to the chat</button>
      </p>
    </form>
    <div class="sent" data-part="sent" data-testid="widget-sent" hidden>
      <p data-part="sent-text" tabindex="-1"></p>
      <p><button type="button" class="quiet" data-part="back-again">Back to the chat</button></p>
    </div>
    <p class="visually-hidden" role="status" data-part="announcer"></p>
  </section>`;

export const QUESTION = `<li class="asked"><h3 class="visually-hidden">You asked</h3><p data-part="text"></p></li>`;

/** The template that conversations/answer.js expects. */
export const ANSWER = `
  <li class="answered" data-testid="widget-answer">
    <h3 class="visually-hidden">Assistant</h3>
    <p class="thinking" data-part="thinking">
      <span class="dots" aria-hidden="true"><span></span><span></span><span></span></span>
      <span class="visually-hidden">Thinking…</span> <span data-part="step"></span>
    </p>
    <div class="prose" data-part="body"></div>
    <p class="note" data-part="stopped" hidden>You stopped this answer.</p>
    <div class="problem" data-part="failure" hidden>
      <p data-part="failure-text"></p>
      <button type="button" class="quiet" data-part="retry">Try again</button>
    </div>
    <div data-part="sources" hidden><ol data-part="source-list"></ol></div>
    <p class="ai-mark" data-part="mark" hidden>AI-generated from this site. Prices and dates are the school's own.</p>
  </li>`;

/** @param {string} html one element @returns {HTMLTemplateElement} */
export function template(html) {
  const made = document.createElement("template");
  made.innerHTML = html.trim();
  return made;
}

/** @param {string} html one element */
export function element(html) {
  return /** @type {HTMLElement} */ (template(html).content.firstElementChild);
}

/** @template {HTMLElement} T @param {ParentNode} parent @param {string} name @returns {T} */
export function part(parent, name) {
  return /** @type {T} */ (parent.querySelector(`[data-part="${name}"]`));
}
