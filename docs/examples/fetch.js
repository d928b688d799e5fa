async function call(url, options = {}) {
  const headers = new Headers(options.headers);
  headers.set("Accept", "application/json");
  const reply = await fetch(url, {...options, headers});
  if (reply.status !== 401) return reply;
  const {login_url} = await reply.clone().json().catch(() => ({}));
  if (!login_url) return reply;
  const popup = window.open(login_url, "_blank", "popup,width=520,height=720");
  if (!popup) return location.assign(login_url);
  await cameBack(popup);
  return fetch(url, {...options, headers});
}

function cameBack(popup) {
  return new Promise(done => {
    const timer = setInterval(() => {
      let back = popup.closed;
      try {
        const at = popup.location;
        back ||= at.origin === location.origin && !at.pathname.startsWith("/auth/");
      } catch { /* at the identity provider */ }
      if (!back) return;
      clearInterval(timer);
      popup.close();
      done();
    }, 200);
  });
}
