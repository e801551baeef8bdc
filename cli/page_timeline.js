/* The timeline. */

const AREAS = 7;

/* The call sites that ever held most, and the others in one. */
function areasOf(sites, bins) {
    const most = sites.map((site, at) => [Math.max(0, ...site.levels), at]).filter(([peak]) => peak > 0);
    most.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    const shown = most.length > AREAS + 1 ? AREAS : most.length;
    const areas = most.slice(0, shown).map(([, at]) => ({ name: sites[at].name, site: at, levels: sites[at].levels }));
    if (most.length > shown) {
        const levels = new Array(bins).fill(0);
        for (const [, at] of most.slice(shown))
            sites[at].levels.forEach((level, bin) => { levels[bin] += level; });
        areas.push({ name: countOf(most.length - shown, 'other call site', 'other call sites'), site: -1, levels });
    }
    return areas;
}

function niceStep(most, steps) {
    const rough = Math.max(1, most / steps);
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map(factor => factor * power).find(step => step >= rough);
}

function timeStep(span, steps) {
    const s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
    const neat = [s, 2 * s, 5 * s, 10 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 30 * m, h, 2 * h, 3 * h, 6 * h, 12 * h, d, 2 * d, 7 * d];
    return neat.find(step => span / step <= steps) || 30 * d * Math.ceil(span / steps / (30 * d));
}

function shortTime(ms, step) {
    const text = timeOf(ms);
    if (step >= 86400000)
        return text.slice(0, 10);
    return step >= 60000 ? text.slice(5, 16) : text.slice(11);
}

const LEFT = 60, RIGHT = 10, TOP = 10, BOTTOM = 30, HEIGHT = 280;

/* What all of the timeline is drawn from. */
function timesOf(sites) {
    const bins = sites.length > 0 ? sites[0].levels.length : 0;
    const areas = areasOf(sites, bins);
    const sums = new Array(bins).fill(0);
    const edges = areas.map(area => area.levels.map((level, bin) => (sums[bin] += level)));
    const timeAt = bin => Math.min(data.end, data.start + bin * data.width);
    return { bins, areas, sums, edges, timeAt, most: Math.max(1, ...sums) };
}

/* As steps: what was held at the end of a bin is drawn for the whole of it. */
function drawAreas(svg, times, x, y) {
    const edge = levels => levels.map((level, bin) => [[x(bin), y(level)], [x(bin + 1), y(level)]]).flat();
    const path = points => points.map(point => point.map(part => part.toFixed(1)).join(',')).join(' L');
    times.areas.forEach((area, i) => {
        const below = i > 0 ? times.edges[i - 1] : new Array(times.bins).fill(0);
        const outline = [...edge(times.edges[i]), ...edge(below).reverse()];
        svg.append(drawing('path', { class: 'area ' + area.colour, d: 'M' + path(outline) + 'Z' }));
    });
}

function drawAxes(svg, times, width, x, y) {
    const step = niceStep(times.most, 5);
    for (let level = 0; level <= times.most; level += step) {
        svg.append(drawing('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(level), y2: y(level), 'stroke-opacity': 0.6 }));
        svg.append(drawing('text', { x: LEFT - 6, y: y(level) + 4, 'text-anchor': 'end' }, numbers.format(level)));
    }
    const each = timeStep(times.bins * data.width, width / 160);
    for (let time = Math.ceil(data.start / each) * each; time < data.start + times.bins * data.width; time += each) {
        const at = x((time - data.start) / data.width);
        svg.append(drawing('line', { class: 'grid', x1: at, x2: at, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 5 }));
        if (at > LEFT + 20 && at < width - 50)
            svg.append(drawing('text', { x: at, y: HEIGHT - 10, 'text-anchor': 'middle' }, shortTime(time, each)));
    }
}

/* As wide as there is room, so that its text keeps its size. Returns what puts the cursor to a bin. */
function drawTimeline(times, tell) {
    const chart = byId('timeline-chart');
    const width = Math.max(280, chart.clientWidth);
    const x = bin => LEFT + (width - LEFT - RIGHT) * bin / times.bins;
    const y = level => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * level / times.most;
    const label = 'Leaked sockets held from ' + timeOf(data.start) + ' to ' + timeOf(data.end) +
        ', ' + numbers.format(times.most) + ' at most; the table below has the numbers';
    const svg = drawing('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': label });
    const cursor = drawing('line', { class: 'cursor', y1: TOP, y2: HEIGHT - BOTTOM });
    drawAreas(svg, times, x, y);
    drawAxes(svg, times, width, x, y);
    svg.append(cursor);
    chart.replaceChildren(svg);
    svg.addEventListener('pointermove', event => {
        const box = svg.getBoundingClientRect();
        const at = (event.clientX - box.left) / box.width * width;
        const bin = Math.floor((at - LEFT) / (width - LEFT - RIGHT) * times.bins);
        tell(Math.min(times.bins - 1, Math.max(0, bin)));
    });
    return bin => {
        cursor.setAttribute('x1', x(bin + 0.5));
        cursor.setAttribute('x2', x(bin + 0.5));
    };
}

function timelineTable(times) {
    const table = element('table', {}, element('caption', { class: 'unseen' }, 'Sockets held at moments, by call site'),
        element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'Until'), element('th', { scope: 'col', class: 'number' }, 'All'),
            ...times.areas.map(area => element('th', { scope: 'col', class: 'number' }, area.name)))));
    const body = element('tbody');
    const rows = Math.min(24, times.bins);
    for (let row = 0; row < rows; row++) {
        const bin = Math.floor((row + 1) * times.bins / rows) - 1;
        body.append(element('tr', {}, element('th', { scope: 'row' }, timeOf(times.timeAt(bin + 1))),
            element('td', { class: 'number' }, numbers.format(times.sums[bin])),
            ...times.areas.map(area => element('td', { class: 'number' }, numbers.format(area.levels[bin])))));
    }
    table.append(body);
    return table;
}

function legendOf(area) {
    const key = drawing('svg', { viewBox: '0 0 10 10', 'aria-hidden': 'true' }, drawing('rect', { width: 10, height: 10, class: area.colour }));
    return element('li', {}, key, area.site < 0 ? area.name : element('a', { href: '#site-' + area.site, class: 'code' }, area.name));
}

function timeline() {
    const times = timesOf(data.sites);
    if (times.areas.length === 0)
        return;
    byId('timeline').hidden = false;
    times.areas.forEach((area, i) => { area.colour = 'c' + (area.site < 0 ? AREAS : i); });
    const moment = byId('timeline-moment');
    let point = null;
    function tell(bin) {
        const when = timeOf(times.timeAt(bin + 1)) + ': ' + numbers.format(times.sums[bin]) + ' held';
        const parts = times.areas.filter(area => area.levels[bin] > 0).sort((a, b) => b.levels[bin] - a.levels[bin]);
        const words = parts.slice(0, 3).map(area => numbers.format(area.levels[bin]) + ' by ' + area.name);
        moment.value = bin;
        moment.setAttribute('aria-valuetext', when);
        byId('timeline-said').textContent = [when, ...words].join('; ');
        point(bin);
    }
    function draw() {
        point = drawTimeline(times, tell);
        point(Number(moment.value));
    }
    moment.max = times.bins - 1;
    moment.value = times.bins - 1;
    moment.addEventListener('input', () => tell(Number(moment.value)));
    addEventListener('resize', draw);
    draw();
    tell(times.bins - 1);
    byId('timeline-legend').append(...times.areas.map(legendOf));
    byId('timeline-table').append(timelineTable(times));
}
