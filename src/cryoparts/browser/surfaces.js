// Isosurfaces of compact volumes. A volume is {data, size: [nx, ny, nz], origin: [x, y, z],
// voxel}: data[x + nx * (y + ny * z)], the first voxel at origin (Å), one voxel every `voxel` Å.
(function (root) {
  "use strict";

  // Bytes of base64 text that were packed with gzip.
  function unpacked(text) {
    var packed = Uint8Array.from(atob(text), function (c) { return c.charCodeAt(0); });
    var stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer().then(function (b) { return new Uint8Array(b); });
  }

  // Surface nets (Gibson 1998): one vertex in each cell that the level crosses, at the mean of
  // the crossings of its edges, and one quadrangle for each crossed edge. Normals are down the
  // density. Returns {vertices, normals, faces}, vertices and normals as {x, y, z} in Å.
  function isosurface(volume, level) {
    var nx = volume.size[0], ny = volume.size[1], nz = volume.size[2], d = volume.data;
    var vertices = [], normals = [], faces = [];
    var index = new Int32Array(nx * ny * nz).fill(-1);
    var step = [1, nx, nx * ny];
    function slope(i, axis, at, most) {
      var low = at > 0 ? d[i - step[axis]] : d[i], high = at < most - 1 ? d[i + step[axis]] : d[i];
      return low - high;
    }
    for (var z = 0; z < nz - 1; z++) {
      for (var y = 0; y < ny - 1; y++) {
        for (var x = 0; x < nx - 1; x++) {
          var i = x + nx * (y + ny * z), inside = 0, c;
          for (c = 0; c < 8; c++) {
            if (d[i + (c & 1) + (c & 2 ? nx : 0) + (c & 4 ? step[2] : 0)] > level) { inside++; }
          }
          if (inside === 0 || inside === 8) { continue; }
          var sx = 0, sy = 0, sz = 0, count = 0;
          for (c = 0; c < 8; c++) {
            var a = i + (c & 1) + (c & 2 ? nx : 0) + (c & 4 ? step[2] : 0);
            for (var axis = 0; axis < 3; axis++) {
              if (c & (1 << axis)) { continue; }
              var one = d[a], other = d[a + step[axis]];
              if ((one > level) === (other > level)) { continue; }
              var t = (level - one) / (other - one);
              sx += (c & 1) + (axis === 0 ? t : 0);
              sy += ((c >> 1) & 1) + (axis === 1 ? t : 0);
              sz += ((c >> 2) & 1) + (axis === 2 ? t : 0);
              count++;
            }
          }
          index[i] = vertices.length;
          vertices.push({
            x: volume.origin[0] + volume.voxel * (x + sx / count),
            y: volume.origin[1] + volume.voxel * (y + sy / count),
            z: volume.origin[2] + volume.voxel * (z + sz / count) });
          var gx = 0, gy = 0, gz = 0;
          for (c = 0; c < 8; c++) {
            var px = x + (c & 1), py = y + ((c >> 1) & 1), pz = z + ((c >> 2) & 1);
            var at = px + nx * (py + ny * pz);
            gx += slope(at, 0, px, nx); gy += slope(at, 1, py, ny); gz += slope(at, 2, pz, nz);
          }
          var length = Math.sqrt(gx * gx + gy * gy + gz * gz) || 1;
          normals.push({ x: gx / length, y: gy / length, z: gz / length });
        }
      }
    }
    function quadrangle(a, b, c, e, turned) {
      if (a < 0 || b < 0 || c < 0 || e < 0) { return; }
      if (turned) { faces.push(a, b, c, a, c, e); } else { faces.push(a, c, b, a, e, c); }
    }
    for (z = 1; z < nz - 1; z++) {
      for (y = 1; y < ny - 1; y++) {
        for (x = 1; x < nx - 1; x++) {
          i = x + nx * (y + ny * z);
          var here = d[i] > level;
          for (axis = 0; axis < 3; axis++) {
            if ((d[i + step[axis]] > level) === here) { continue; }
            var u = step[(axis + 1) % 3], v = step[(axis + 2) % 3];
            quadrangle(index[i], index[i - u], index[i - u - v], index[i - v], here);
          }
        }
      }
    }
    return { vertices: vertices, normals: normals, faces: faces };
  }

  // The nearest voxel's value at a vertex of an isosurface.
  function nearest(volume, values, p) {
    var at = [p.x, p.y, p.z].map(function (value, k) {
      var n = Math.round((value - volume.origin[k]) / volume.voxel);
      return Math.max(0, Math.min(volume.size[k] - 1, n));
    });
    return values[at[0] + volume.size[0] * (at[1] + volume.size[1] * at[2])];
  }

  root.Surfaces = { unpacked: unpacked, isosurface: isosurface, nearest: nearest };
})(window);
