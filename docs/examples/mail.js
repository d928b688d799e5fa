const count = document.getElementById("count");

document.getElementById("load").addEventListener("click", async () => {
  try {
    const reply = await msalFetch("/api/mail");
    count.textContent = (await reply.json()).count;
  } catch (error) {
    if (!(error instanceof msalFetch.SignInFailed)) throw error;
    count.textContent = error.message;
  }
});
