// A picture is enlarged by a click, or by Enter and the space bar, and the browser's dialog keeps the keyboard in it.
// A second click shows the picture pixel by pixel, a third one, or Escape, closes it.
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Enlarged picture");
  dialog.innerHTML = "<figure><img alt=''><figcaption></figcaption></figure>";
  document.body.append(dialog);
  const shown = dialog.querySelector("img");
  const caption = dialog.querySelector("figcaption");

  const open = (picture) => {
    shown.src = picture.currentSrc || picture.src;
    shown.alt = picture.alt;
    caption.textContent = picture.alt;
    dialog.classList.remove("actual");
    dialog.showModal();
  };
  dialog.addEventListener("click", () => {
    const isReduced = shown.naturalWidth > shown.clientWidth && !dialog.classList.contains("actual");
    if (isReduced) dialog.classList.add("actual");
    else dialog.close();
  });

  for (const picture of document.querySelectorAll(".md-content img")) {
    const link = picture.closest("a");
    if (link && !/\.(jpe?g|png|webp|svg)$/i.test(link.getAttribute("href") || "")) continue; // it leads elsewhere
    const target = link || picture;
    if (!link) {
      picture.tabIndex = 0;
      picture.setAttribute("role", "button");
    }
    target.addEventListener("click", (event) => {
      event.preventDefault();
      open(picture);
    });
    target.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open(picture);
    });
  }
});
