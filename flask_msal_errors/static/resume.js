document.getElementById("resume").submit();
