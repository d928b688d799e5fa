// Counts the seconds down and opens the page again: once, which the entry of the
// browser's history remembers, so that a second refusal leaves it to the person.
const wait = document.getElementById("wait");
const shown = document.getElementById("seconds");
const end = Date.now() + Number(wait.dataset.seconds) * 1000;
const tried = Boolean(history.state?.msalRetried);
let stopped = tried;

function stop() {
  stopped = true;
  wait.hidden = true;
}

function tick() {
  const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
  shown.textContent = left;
  wait.querySelector("progress").value = left;
  if (left > 0) {
    setTimeout(tick, 500);
  } else if (!stopped) {
    history.replaceState({...history.state, msalRetried: true}, "");
    location.reload();
  }
}

wait.hidden = tried;
wait.querySelector("button").addEventListener("click", stop);
tick();
