// Scenes are drawn when they come into sight, and the ones farthest away are cleared again:
// browsers keep a limited number of WebGL contexts alive. All text that comes from data is set
// as textContent.
(function () {
  "use strict";
  var MOST_LIVE = 5;
  var FRAME_MS = 60;
  var WHITE_AT = 2.5; // times the contour level, in slices
  var scenes = Array.prototype.slice.call(document.querySelectorAll(".scene"));
  var live = [];

  function make(kind, properties, parent) {
    var element = document.createElement(kind);
    Object.keys(properties).forEach(function (key) {
      if (key === "text") { element.textContent = properties[key]; }
      else if (key.indexOf("aria-") === 0) { element.setAttribute(key, properties[key]); }
      else { element[key] = properties[key]; }
    });
    if (parent) { parent.appendChild(element); }
    return element;
  }

  function slider(parent, name, low, high, step, value, shown, changed) {
    var label = make("label", {}, parent);
    make("span", { text: name }, label);
    var input = make("input", { type: "range", min: low, max: high, step: step, value: value,
      "aria-label": name }, label);
    var output = make("output", { text: shown(value) }, label);
    var waiting = false;
    input.addEventListener("input", function () {
      output.textContent = shown(Number(input.value));
      if (waiting) { return; }
      waiting = true;
      window.requestAnimationFrame(function () { waiting = false; changed(Number(input.value)); });
    });
    input.put = function (v) { input.value = v; output.textContent = shown(v); changed(v); };
    return input;
  }

  // To and fro between the ends of a slider.
  function player(parent, name, input) {
    var button = make("button", { type: "button", text: "▶ " + name, "aria-pressed": "false" },
      parent);
    var timer = null, way = 1;
    function stop() {
      window.clearInterval(timer); timer = null;
      button.setAttribute("aria-pressed", "false"); button.textContent = "▶ " + name;
    }
    button.addEventListener("click", function () {
      if (timer) { stop(); return; }
      button.setAttribute("aria-pressed", "true"); button.textContent = "❚❚ " + name;
      timer = window.setInterval(function () {
        if (!document.contains(button)) { stop(); return; }
        var low = Number(input.min), high = Number(input.max);
        var next = Number(input.value) + way * (high - low) / 24;
        if (next >= high || next <= low) { way = -way; }
        input.put(Math.max(low, Math.min(high, next)));
      }, FRAME_MS);
    });
    button.stop = stop;
    return button;
  }

  function rgb(colour) {
    var n = parseInt(colour.slice(1), 16);
    return { r: (n >> 16) / 255, g: ((n >> 8) & 255) / 255, b: (n & 255) / 255 };
  }

  function blend(a, b, share) {
    return { r: a.r + share * (b.r - a.r), g: a.g + share * (b.g - a.g),
      b: a.b + share * (b.b - a.b) };
  }

  function background() {
    return getComputedStyle(document.documentElement).getPropertyValue("--scene").trim();
  }

  // A 3Dmol viewer that leaves wheel and single touches to the page until it is clicked.
  function viewerIn(plot) {
    plot.textContent = "";
    plot.classList.remove("waiting");
    var held = make("div", {}, plot);
    held.style.cssText = "position:absolute;inset:0";
    var viewer = window.$3Dmol.createViewer(held, { backgroundColor: background(),
      disableFog: true, antialias: true });
    var active = false;
    plot.onpointerdown = function () { active = true; };
    plot.onpointerleave = function () { active = false; };
    held.addEventListener("wheel", function (event) {
      if (!active && !event.ctrlKey) { event.stopPropagation(); }
    }, true);
    plot.onkeydown = function (event) {
      var turn = { ArrowLeft: ["y", -10], ArrowRight: ["y", 10], ArrowUp: ["x", -10],
        ArrowDown: ["x", 10] }[event.key];
      if (turn) { viewer.rotate(turn[1], turn[0]); }
      else if (event.key === "+" || event.key === "=") { viewer.zoom(1.15); }
      else if (event.key === "-") { viewer.zoom(1 / 1.15); }
      else { return; }
      event.preventDefault();
    };
    return viewer;
  }

  function addMesh(viewer, mesh, colours, opacity) {
    if (!mesh.faces.length) { return; }
    viewer.addCustom({ vertexArr: mesh.vertices, normalArr: mesh.normals, faceArr: mesh.faces,
      color: colours, opacity: opacity });
  }

  function volumeOf(frame, codes, low, high) {
    var data = new Float32Array(codes.length), scale = (high - low) / 255;
    for (var i = 0; i < codes.length; i++) { data[i] = low + scale * codes[i]; }
    return { data: data, size: frame.size, origin: frame.origin, voxel: frame.voxel };
  }

  // Look so that the direction `towards` comes to the viewer, z (or y) upright.
  function lookFrom(viewer, towards, centre, reach) {
    var up = Math.abs(towards[2]) < 0.9 ? [0, 0, 1] : [0, 1, 0];
    function cross(a, b) {
      return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    }
    function unit(a) { var n = Math.hypot(a[0], a[1], a[2]) || 1; return a.map(function (v) { return v / n; }); }
    var near = unit(towards), right = unit(cross(up, near)), over = cross(near, right);
    var m = [right, over, near], trace = m[0][0] + m[1][1] + m[2][2], q, s;
    if (trace > 0) {
      s = 2 * Math.sqrt(trace + 1);
      q = [(m[2][1] - m[1][2]) / s, (m[0][2] - m[2][0]) / s, (m[1][0] - m[0][1]) / s, s / 4];
    } else {
      var k = m[0][0] > m[1][1] ? (m[0][0] > m[2][2] ? 0 : 2) : (m[1][1] > m[2][2] ? 1 : 2);
      var i = (k + 1) % 3, j = (k + 2) % 3;
      s = 2 * Math.sqrt(Math.max(1e-12, 1 + m[k][k] - m[i][i] - m[j][j]));
      q = [0, 0, 0, 0];
      q[k] = s / 4; q[i] = (m[i][k] + m[k][i]) / s; q[j] = (m[j][k] + m[k][j]) / s;
      q[3] = (m[j][i] - m[i][j]) / s;
    }
    viewer.setView([-centre[0], -centre[1], -centre[2], 150 - 6.0 * reach, q[0], q[1], q[2], q[3]]);
    viewer.setSlab(-2 * reach, 2 * reach);
  }

  function box(meshes) {
    var low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
    meshes.forEach(function (mesh) {
      mesh.vertices.forEach(function (v) {
        [v.x, v.y, v.z].forEach(function (value, k) {
          low[k] = Math.min(low[k], value); high[k] = Math.max(high[k], value);
        });
      });
    });
    var centre = low.map(function (v, k) { return (v + high[k]) / 2; });
    var reach = 0;
    meshes.forEach(function (mesh) {
      mesh.vertices.forEach(function (v) {
        reach = Math.max(reach, Math.hypot(v.x - centre[0], v.y - centre[1], v.z - centre[2]));
      });
    });
    return { centre: centre, reach: reach || 1 };
  }

  // ---- the molecule: one mesh a part, which its motion moves
  function turned(mesh, motion, angle) {
    var t = angle * Math.PI / 180, c = Math.cos(t), s = Math.sin(t), a = motion.axis;
    function turn(x, y, z) {
      var dot = (a[0] * x + a[1] * y + a[2] * z) * (1 - c);
      return { x: x * c + (a[1] * z - a[2] * y) * s + a[0] * dot,
        y: y * c + (a[2] * x - a[0] * z) * s + a[1] * dot,
        z: z * c + (a[0] * y - a[1] * x) * s + a[2] * dot };
    }
    var p = motion.pivot, slide = angle * motion.slide;
    return { faces: mesh.faces,
      vertices: mesh.vertices.map(function (v) {
        var w = turn(v.x - p[0], v.y - p[1], v.z - p[2]);
        return { x: w.x + p[0] + slide * a[0], y: w.y + p[1] + slide * a[1],
          z: w.z + p[2] + slide * a[2] };
      }),
      normals: mesh.normals.map(function (n) { return turn(n.x, n.y, n.z); }) };
  }

  function byOwner(volume, owners, level, count) {
    var whole = window.Surfaces.isosurface(volume, level), f = whole.faces, meshes = [];
    var owner = whole.vertices.map(function (v) {
      return window.Surfaces.nearest(volume, owners, v);
    });
    for (var k = 0; k < count; k++) {
      meshes.push({ vertices: [], normals: [], faces: [], at: new Map() });
    }
    for (var i = 0; i < f.length; i += 3) {
      var mesh = meshes[owner[f[i]]];
      for (var j = 0; j < 3; j++) {
        var v = f[i + j];
        if (!mesh.at.has(v)) {
          mesh.at.set(v, mesh.vertices.length);
          mesh.vertices.push(whole.vertices[v]);
          mesh.normals.push(whole.normals[v]);
        }
        mesh.faces.push(mesh.at.get(v));
      }
    }
    return meshes;
  }

  function molecule(scene, content, viewer, bytes) {
    var volume = volumeOf(content.frame, bytes[0], content.density.low, content.density.high);
    var parts = content.parts, alone = null, angles = {}, stretch = 1;
    var meshes = byOwner(volume, bytes[1], content.level, parts.length);
    function show() {
      viewer.removeAllShapes();
      parts.forEach(function (part, k) {
        var mesh = meshes[k], faint = alone !== null && alone !== k;
        if (part.motion && k in angles) {
          var off = angles[k] - part.motion.mean;
          mesh = turned(mesh, part.motion, part.motion.mean + stretch * off);
        }
        addMesh(viewer, mesh, rgb(part.colour), faint ? 0.18 : 1);
      });
      viewer.render();
    }
    var controls = scene.querySelector(".controls");
    controls.textContent = "";
    parts.forEach(function (part, k) {
      var button = make("button", { type: "button", "aria-pressed": "false" }, controls);
      make("span", { className: "swatch" }, button).style.background = part.colour;
      button.appendChild(document.createTextNode(part.title));
      button.addEventListener("click", function () {
        alone = alone === k ? null : k;
        controls.querySelectorAll("button[data-part]").forEach(function (other) {
          other.setAttribute("aria-pressed", String(Number(other.dataset.part) === alone));
        });
        show();
      });
      button.dataset.part = k;
    });
    var moving = parts.filter(function (part) {
      return part.motion && part.motion.high - part.motion.low > 0.5;
    });
    if (moving.length) {
      var choice = make("select", { "aria-label": "part that moves" }, controls);
      moving.forEach(function (part) { make("option", { text: part.title }, choice); });
      var input = slider(controls, "angle about its axis", 0, 1, 0.01, 0.5, function (t) {
        var m = moving[choice.selectedIndex].motion;
        return (m.low + t * (m.high - m.low)).toFixed(1) + "°";
      }, function (t) {
        var part = moving[choice.selectedIndex];
        angles = {};
        angles[parts.indexOf(part)] = part.motion.low + t * (part.motion.high - part.motion.low);
        show();
      });
      choice.addEventListener("change", function () { input.put(0.5); });
      player(controls, "move", input);
      var more = make("label", {}, controls);
      var check = make("input", { type: "checkbox" }, more);
      make("span", { text: "three times as far" }, more);
      check.addEventListener("change", function () { stretch = check.checked ? 3 : 1; show(); });
    }
    show();
    var seen = box(meshes);
    lookFrom(viewer, [0.58, -0.75, 0.38], seen.centre, seen.reach);
    viewer.render();
  }

  // ---- maps of a part: contour, slices, one state turned into another
  function maps(scene, content, viewer, bytes) {
    var region = bytes[0], plain = rgb(content.surface), own = rgb(content.colour);
    var states = content.states.map(function (state, k) {
      return { title: state.title, level: state.level, shade: state.shade,
        low: state.low, high: state.high,
        volume: volumeOf(content.frame, bytes[1 + k], state.low, state.high) };
    });
    var differences = content.differences.map(function (difference, k) {
      return { one: difference.one, other: difference.other, level: difference.level,
        volume: volumeOf(content.frame, bytes[1 + states.length + k], difference.low,
          difference.high) };
    });
    var height = 1, shown = { kind: "state", at: 0 }, from = 0, to = states.length - 1;
    function surface(volume, level) { return window.Surfaces.isosurface(volume, level); }
    function tinted(mesh, volume) {
      return mesh.vertices.map(function (v) {
        return blend(plain, own, window.Surfaces.nearest(volume, region, v) / 255);
      });
    }
    function blended(t) {
      var a = states[from], b = states[to], n = a.volume.data.length;
      var data = new Float32Array(n), scale = a.level / (b.level || 1);
      for (var i = 0; i < n; i++) {
        data[i] = (1 - t) * a.volume.data[i] + t * scale * b.volume.data[i];
      }
      return { data: data, size: a.volume.size, origin: a.volume.origin, voxel: a.volume.voxel };
    }
    function negative(volume) {
      return { data: volume.data.map(function (v) { return -v; }), size: volume.size,
        origin: volume.origin, voxel: volume.voxel };
    }
    function show() {
      viewer.removeAllShapes();
      var mesh, drawn = [];
      if (shown.kind === "difference") {
        var d = differences[shown.at], base = states[d.other];
        addMesh(viewer, surface(d.volume, height * d.level), rgb(states[d.one].shade), 1);
        addMesh(viewer, surface(negative(d.volume), height * d.level), rgb(base.shade), 1);
        mesh = surface(base.volume, base.level);
        addMesh(viewer, mesh, plain, 0.3);
      } else {
        var state = states[shown.kind === "state" ? shown.at : from];
        var volume = shown.kind === "state" ? state.volume : blended(shown.t);
        mesh = surface(volume, height * state.level);
        addMesh(viewer, mesh, tinted(mesh, volume), 1);
      }
      drawn.push(mesh);
      viewer.render();
      return drawn;
    }
    var places = scene.querySelectorAll(".controls"), top = places[0], below = places[1];
    top.textContent = ""; below.textContent = "";
    var buttons = [];
    function choose(button, what) {
      buttons.forEach(function (other) {
        other.setAttribute("aria-pressed", String(other === button));
      });
      shown = what;
      show();
    }
    function option(title, what) {
      var button = make("button", { type: "button", text: title,
        "aria-pressed": String(!buttons.length) }, top);
      button.addEventListener("click", function () {
        if (play) { play.stop(); }
        choose(button, what);
      });
      buttons.push(button);
      return button;
    }
    var play = null;
    states.forEach(function (state, k) { option(state.title, { kind: "state", at: k }); });
    differences.forEach(function (d, k) {
      option(states[d.one].title + " − " + states[d.other].title, { kind: "difference", at: k });
    });
    slider(below, "contour", 0.3, 3, 0.05, 1, function (v) { return v.toFixed(2) + " × level"; },
      function (v) { height = v; show(); });
    if (states.length > 1) {
      var pick = function (name, at, chosen) {
        var select = make("select", { "aria-label": name }, below);
        states.forEach(function (state) { make("option", { text: state.title }, select); });
        select.selectedIndex = at;
        select.addEventListener("change", function () { chosen(select.selectedIndex); input.put(0); });
        return select;
      };
      pick("first state", from, function (k) { from = k; });
      make("span", { text: "turn into" }, below);
      pick("last state", to, function (k) { to = k; });
      var input = slider(below, "share", 0, 1, 0.02, 0, function (t) {
        return Math.round(100 * t) + "%";
      }, function (t) { choose(null, { kind: "blend", t: t }); });
      play = player(below, "play", input);
    }
    planes(scene, below, states, content);
    var seen = box(show());
    lookFrom(viewer, content.towards, seen.centre, seen.reach);
    viewer.render();
  }

  // Slices through every state, all moved by one slider.
  function planes(scene, controls, states, content) {
    var place = scene.querySelector(".planes"), frame = content.frame, size = frame.size;
    place.textContent = "";
    var axis = 2;
    var choice = make("select", { "aria-label": "plane of the slices" }, controls);
    ["yz plane", "xz plane", "xy plane"].forEach(function (name) {
      make("option", { text: name }, choice);
    });
    choice.selectedIndex = axis;
    var canvases = states.map(function (state) {
      var held = make("div", {}, place);
      var canvas = make("canvas", {}, held);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "slice through " + state.title);
      make("span", { text: state.title }, held);
      return canvas;
    });
    function draw(at) {
      var u = axis === 0 ? 1 : 0, v = axis === 2 ? 1 : 2, step = [1, size[0], size[0] * size[1]];
      states.forEach(function (state, k) {
        var canvas = canvases[k], context = canvas.getContext("2d");
        canvas.width = size[u]; canvas.height = size[v];
        var image = context.createImageData(size[u], size[v]);
        for (var y = 0; y < size[v]; y++) {
          for (var x = 0; x < size[u]; x++) {
            var value = state.volume.data[at * step[axis] + x * step[u] + y * step[v]];
            var grey = 255 * (value - state.low) / (WHITE_AT * state.level - state.low);
            var place = 4 * (x + size[u] * (size[v] - 1 - y));
            image.data[place] = image.data[place + 1] = image.data[place + 2] =
              Math.min(255, grey);
            image.data[place + 3] = 255;
          }
        }
        context.putImageData(image, 0, 0);
      });
    }
    var input = slider(controls, "slice", 0, size[axis] - 1, 1, Math.floor(size[axis] / 2),
      function (at) {
        return "xyz"[axis] + " = " + Math.round(frame.origin[axis] + at * frame.voxel) + " Å";
      }, draw);
    choice.addEventListener("change", function () {
      axis = choice.selectedIndex;
      input.max = size[axis] - 1;
      input.put(Math.floor(size[axis] / 2));
    });
    draw(Math.floor(size[axis] / 2));
  }

  // ---- when to draw
  function say(scene, text) {
    var plot = scene.querySelector(".plot");
    plot.classList.add("waiting");
    plot.textContent = text;
  }

  function hasWebgl() {
    try {
      var canvas = document.createElement("canvas");
      var context = canvas.getContext("webgl2") || canvas.getContext("webgl");
      var lose = context && context.getExtension("WEBGL_lose_context");
      if (lose) { lose.loseContext(); }
      return Boolean(context);
    } catch (fault) { return false; }
  }

  function clear(scene) {
    scene.querySelectorAll(".plot canvas").forEach(function (canvas) {
      var context = canvas.getContext("webgl2") || canvas.getContext("webgl");
      var lose = context && context.getExtension("WEBGL_lose_context");
      if (lose) { lose.loseContext(); }
    });
    scene.querySelectorAll(".controls, .planes").forEach(function (e) { e.textContent = ""; });
    say(scene, "scroll here to draw this again");
    scene.viewer = null;
    live.splice(live.indexOf(scene), 1);
  }

  function packedIn(content) {
    if (content.kind === "molecule") { return [content.density.codes, content.owners]; }
    return [content.region].concat(content.states.map(function (s) { return s.codes; }),
      content.differences.map(function (d) { return d.codes; }));
  }

  function draw(scene) {
    if (live.indexOf(scene) >= 0) { return; }
    live.push(scene);
    while (live.length > MOST_LIVE) {
      var middle = scene.getBoundingClientRect().top;
      clear(live.slice().sort(function (a, b) {
        return Math.abs(b.getBoundingClientRect().top - middle) -
          Math.abs(a.getBoundingClientRect().top - middle);
      })[0]);
    }
    var content = JSON.parse(scene.querySelector("script").textContent);
    Promise.all(packedIn(content).map(window.Surfaces.unpacked)).then(function (bytes) {
      if (live.indexOf(scene) < 0) { return; }
      scene.viewer = viewerIn(scene.querySelector(".plot"));
      (content.kind === "molecule" ? molecule : maps)(scene, content, scene.viewer, bytes);
      scene.dataset.drawn = "yes";
    }).catch(function (fault) {
      say(scene, "This could not be drawn (" + fault.message + "); the still pictures show it.");
    });
  }

  // ---- folding, and what a link or a printer needs open
  function reveal() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", reveal);
  reveal();
  document.querySelectorAll(".menu a").forEach(function (link) {
    link.addEventListener("click", function () {
      document.querySelector(".menu").open = false;
      if (link.hash === location.hash) { reveal(); }
    });
  });
  var all = document.getElementById("unfold");
  if (all) {
    all.addEventListener("click", function () {
      var parts = Array.prototype.slice.call(document.querySelectorAll("details.part"));
      var open = !parts.every(function (part) { return part.open; });
      parts.forEach(function (part) { part.open = open; });
      all.textContent = open ? "fold all" : "unfold all";
    });
  }
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.filter.call(
      document.querySelectorAll("details:not(.menu):not(.no-print)"),
      function (one) { return !one.open; });
    opened.forEach(function (one) { one.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (one) { one.open = false; });
  });

  if (!scenes.length) { return; }
  if (!hasWebgl() || !window.$3Dmol || !window.DecompressionStream) {
    document.documentElement.classList.add("no-webgl");
    scenes.forEach(function (scene) {
      say(scene, "This browser offers no WebGL; the still pictures show the same.");
    });
    return;
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    live.forEach(function (scene) {
      if (scene.viewer) { scene.viewer.setBackgroundColor(background()); }
    });
  });
  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) { if (entry.isIntersecting) { draw(entry.target); } });
  }, { rootMargin: "150px" });
  scenes.forEach(function (scene) { watcher.observe(scene); });
})();
