// Scenes are drawn when they come into sight, and the ones farthest away are
// cleared again: browsers keep a limited number of WebGL contexts alive.
(function () {
  "use strict";
  var MOST_LIVE = 6;
  var CONFIG = { displaylogo: false, responsive: true, scrollZoom: false,
    modeBarButtonsToRemove: ["tableRotation", "resetCameraLastSave3d"] };
  var scenes = Array.prototype.slice.call(document.querySelectorAll(".scene"));
  var live = [];

  function hasWebgl() {
    try {
      var canvas = document.createElement("canvas");
      var context = canvas.getContext("webgl2") || canvas.getContext("webgl");
      var lose = context && context.getExtension("WEBGL_lose_context");
      if (lose) { lose.loseContext(); }
      return Boolean(context);
    } catch (fault) { return false; }
  }

  function say(scene, text) {
    var plot = scene.querySelector(".plot");
    plot.classList.add("waiting");
    plot.textContent = text;
  }

  function clear(scene) {
    window.Plotly.purge(scene.querySelector(".plot"));
    say(scene, "scroll here to draw this again");
    live.splice(live.indexOf(scene), 1);
  }

  function chosen(scene) {
    var pressed = scene.querySelector(".views button[aria-pressed='true']");
    return pressed ? JSON.parse(pressed.dataset.visible) : null;
  }

  function draw(scene) {
    if (live.indexOf(scene) >= 0) { return; }
    var content = JSON.parse(scene.querySelector("script").textContent);
    var visible = chosen(scene);
    if (visible) { content.data.forEach(function (trace, i) { trace.visible = visible[i]; }); }
    var plot = scene.querySelector(".plot");
    plot.textContent = "";
    plot.classList.remove("waiting");
    window.Plotly.newPlot(plot, content.data, content.layout, CONFIG);
    live.push(scene);
    while (live.length > MOST_LIVE) {
      var middle = scene.getBoundingClientRect().top;
      clear(live.slice().sort(function (a, b) {
        return Math.abs(b.getBoundingClientRect().top - middle) -
          Math.abs(a.getBoundingClientRect().top - middle);
      })[0]);
    }
  }

  scenes.forEach(function (scene) {
    var buttons = Array.prototype.slice.call(scene.querySelectorAll(".views button"));
    buttons.forEach(function (button) {
      button.addEventListener("click", function () {
        buttons.forEach(function (b) { b.setAttribute("aria-pressed", String(b === button)); });
        if (live.indexOf(scene) >= 0) {
          window.Plotly.restyle(scene.querySelector(".plot"),
            { visible: JSON.parse(button.dataset.visible) });
        }
      });
    });
  });

  if (!scenes.length) { return; }
  if (!hasWebgl() || !window.Plotly) {
    scenes.forEach(function (scene) {
      say(scene, "This browser offers no WebGL; the still pictures show the same.");
    });
    return;
  }
  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) { if (entry.isIntersecting) { draw(entry.target); } });
  }, { rootMargin: "150px" });
  scenes.forEach(function (scene) { watcher.observe(scene); });
})();
