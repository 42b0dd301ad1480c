// The live news: state and curves as text, frames as bytes. Each is answered when it has been taken.

import { address } from "./dom.js";

export function connect({ onState, onCurves, onFrame, onAway }) {
  let wait = 500;
  const start = () => {
    const socket = new WebSocket(address("live").replace(/^http/, "ws"));
    socket.binaryType = "blob";
    socket.onopen = () => { wait = 500; };
    socket.onmessage = async (event) => {
      try {
        if (typeof event.data === "string") {
          const news = JSON.parse(event.data);
          onCurves(news.curves);
          onState(news.state);
        } else {
          await onFrame(event.data);
        }
      } finally {
        if (socket.readyState === WebSocket.OPEN) socket.send("taken");
      }
    };
    socket.onclose = () => {
      onAway();
      setTimeout(start, wait);
      wait = Math.min(wait * 1.6, 8000);
    };
  };
  start();
}
