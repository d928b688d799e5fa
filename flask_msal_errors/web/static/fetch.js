// A fetch() that lets people sign in: msalFetch(url, options), for the app's own pages.
// A plain script, and the one source of the module beside it.
globalThis.msalFetch ??= (() => {
  const words = {
    offer: "You need to sign in before this goes on.",
    open: "Sign in",
    cancel: "Cancel",
    closed: "The sign-in was not finished.",
    blocked: "The browser opened no window for the sign-in. Allow pop-up windows for this site.",
    refused: "You signed in, but access is still refused.",
  };

  class SignInFailed extends Error {
    constructor(reason, response, loginUrl) {
      super(words[reason]);
      Object.assign(this, {name: "SignInFailed", reason, response, loginUrl});
    }
  }

  // The sign-in that is under way: of several calls, one opens a window.
  let current = null;

  async function msalFetch(input, init) {
    const request = new Request(input, init);
    if (!request.headers.has("Accept")) request.headers.set("Accept", "application/json");
    let outcome = "";
    for (;;) {
      const reply = await fetch(request.clone());
      const url = await loginUrl(reply);
      if (!url) return reply;
      if (outcome) throw new SignInFailed(outcome === "back" ? "refused" : outcome, reply, url);
      if (current) {
        const shared = await current.catch(() => "closed");
        outcome = shared === "back" ? "" : shared;
      } else {
        current = signIn(url, request.signal);
        outcome = await current.finally(() => { current = null; });
      }
    }
  }

  async function loginUrl(reply) {
    const type = reply.headers.get("Content-Type") ?? "";
    if (reply.status !== 401 || !type.startsWith("application/problem+json")) return null;
    const problem = await reply.clone().json().catch(() => null);
    if (typeof problem?.login_url !== "string") return null;
    const url = new URL(problem.login_url, reply.url);
    // An answer of another origin opens no window.
    const origins = [url.origin, new URL(reply.url).origin];
    return origins.every(origin => origin === location.origin) ? url.href : null;
  }

  async function signIn(url, signal) {
    let popup = open(url);
    if (!popup) {
      popup = await offer(url);
      if (typeof popup === "string") return popup;
    }
    return ended(popup, url, signal);
  }

  function open(url) {
    const popup = window.open(url, "_blank", "popup,width=520,height=720");
    return popup && !popup.closed ? popup : null;
  }

  // Browsers open a window for a click, and not long after it.
  function offer(url) {
    const dialog = document.createElement("dialog");
    const [text, yes, no] = ["p", "button", "button"].map(tag => document.createElement(tag));
    [text.textContent, yes.textContent, no.textContent] = [words.offer, words.open, words.cancel];
    dialog.ariaLabel = words.offer;
    dialog.append(text, yes, " ", no);
    document.body.append(dialog);
    dialog.showModal();
    return new Promise(done => {
      yes.onclick = () => { done(open(url) ?? "blocked"); dialog.close(); };
      no.onclick = () => dialog.close();
      dialog.onclose = () => { dialog.remove(); done("closed"); };
    });
  }

  // Pages of the extension stay: they say what went wrong. The page after them is the end.
  function ended(popup, url, signal) {
    const own = new URL(".", url).pathname;
    return new Promise((done, fail) => {
      const timer = setInterval(() => {
        let outcome = popup.closed ? "closed" : "";
        try {
          const {origin, pathname} = popup.location;
          if (origin === location.origin && !pathname.startsWith(own)) outcome ||= "back";
        } catch { /* at the identity provider */ }
        if (!outcome && !signal.aborted) return;
        clearInterval(timer);
        popup.close();
        signal.aborted ? fail(signal.reason) : done(outcome);
      }, 200);
    });
  }

  return Object.assign(msalFetch, {SignInFailed, words});
})();
