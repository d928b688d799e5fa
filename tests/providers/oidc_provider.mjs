// panva's oidc-provider, with its own development pages and back-channel logout.
//
// Arguments: certificate and key. Prints its issuer, reads the app's URL, prints "ready".

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline/promises";
import Provider from "oidc-provider";

// Its notices are for people; lines of the standard output are for the test.
console.info = console.error;

const [certificate, key] = process.argv.slice(2).map((path) => readFileSync(path));
const server = createServer({ cert: certificate, key });
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `https://localhost:${server.address().port}`;
console.log(issuer);

const lines = createInterface({ input: process.stdin });
const app = (await lines[Symbol.asyncIterator]().next()).value;
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "the-client",
      client_secret: "the-secret",
      redirect_uris: [`${app}/auth/callback`],
      post_logout_redirect_uris: [`${app}/auth/signed-out`],
      backchannel_logout_uri: `${app}/auth/back-channel-logout`,
      backchannel_logout_session_required: true,
    },
  ],
  // Without its guard, which refuses addresses of this machine.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  features: { backchannelLogout: { enabled: true } },
});
for (const name of ["backchannel.success", "backchannel.error"]) {
  provider.on(name, (_, error) => console.log(name, error?.message ?? ""));
}
server.on("request", provider.callback());
console.log("ready");
