// Dash loads all files of this folder. Its callbacks call fetch(): one that is refused
// sends the person to sign in, and back to this page with its query.
const plainFetch = window.fetch;
window.fetch = async (...call) => {
  const reply = await plainFetch(...call);
  if (reply.status === 401) {
    const problem = await reply.clone().json().catch(() => null);
    if (problem?.login_url) location.assign(problem.login_url);
  }
  return reply;
};
