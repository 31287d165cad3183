// The page changes by itself: the server sends the pieces that are new, drawn.
"use strict";
const lost = document.getElementById("lost");
let benches = null;
const stream = new EventSource("/live");
stream.onopen = () => { lost.hidden = true; };
stream.onerror = () => {
	lost.hidden = false;
	if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000); // it was refused: logged out, or too many look
};
stream.onmessage = (m) => {
	const part = JSON.parse(m.data);
	if (part.id === "all") {
		if (benches !== null && benches !== part.html) location.reload();
		benches = part.html;
		return;
	}
	const at = document.getElementById(part.id);
	if (at !== null) at.innerHTML = part.html;
};
