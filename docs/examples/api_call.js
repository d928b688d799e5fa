// Calls an API for the signed-in user, and sends them to Entra if it is refused.
//
// msal: a PublicClientApplication of @azure/msal-browser, after initialize() and
// handleRedirectPromise(), with clientCapabilities: ["CP1"] in its auth options.

export async function callApi(msal, url, scopes, options = {}) {
  const request = { scopes, account: msal.getActiveAccount() };
  let response = await send(url, await getToken(msal, request), options);
  const challenge = readChallenge(response);
  if (challenge?.claims) {
    const claims = decodeClaims(challenge.claims);
    response = await send(url, await getToken(msal, { ...request, claims }), options);
  } else if (challenge?.error === "insufficient_scope" && challenge.scope) {
    const consent = challenge.scope.endsWith("/.default") ? { prompt: "consent" } : {};
    await leave(msal, { ...request, scopes: challenge.scope.split(" "), ...consent });
  }
  return response;
}

// The parameters of a Bearer challenge, or null. Values may hold commas, in quotes.
export function readChallenge(response) {
  const header = response.headers.get("WWW-Authenticate");
  if (![401, 403].includes(response.status) || !/^bearer /i.test(header ?? "")) {
    return null;
  }
  const pair = /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g;
  const pairs = header.slice(7).matchAll(pair);
  return Object.fromEntries(Array.from(pairs, ([, name, quoted, plain]) => [
    name.toLowerCase(),
    quoted?.replace(/\\(.)/g, "$1") ?? plain,
  ]));
}

// The claims as JSON: base64, or base64url without padding.
export function decodeClaims(text) {
  const bytes = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
}

async function getToken(msal, request) {
  try {
    return (await msal.acquireTokenSilent(request)).accessToken;
  } catch (error) {
    if (error.name !== "InteractionRequiredAuthError") throw error;
    return leave(msal, { ...request, claims: request.claims || error.claims });
  }
}

// The page is left: nothing that waits for this goes on.
async function leave(msal, request) {
  await msal.acquireTokenRedirect(request);
  return new Promise(() => {});
}

function send(url, token, options) {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  return fetch(url, { ...options, headers });
}
