// Before Gradio, which keeps what it finds. Its version 6.31 counts tenths of seconds in every frame while something is awaited, and for its first
// "Loading..." for ever: that is taken from the page before it is told to stop. No such count is shown here, and a page is open all day.
(() => {
  const nextFrame = window.requestAnimationFrame.bind(window), counts = /performance\.now\(\)-\w+\(\w+\)\)\/1e3/;
  window.requestAnimationFrame = (draw) => counts.test(draw) ? 0 : nextFrame(draw);
})();
