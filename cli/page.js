'use strict';

/*
 * The drawings, the search and the single records of a page that closewait report made. Whatever
 * comes from a record becomes text, never HTML.
 */
(function () {
    const data = JSON.parse(document.getElementById('data').textContent);
    const numbers = new Intl.NumberFormat('en');
    const byId = id => document.getElementById(id);

    function element(tag, attributes, ...children) {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes || {}))
            made.setAttribute(name, value);
        made.append(...children);
        return made;
    }

    function drawing(tag, attributes, ...children) {
        const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
        for (const [name, value] of Object.entries(attributes || {}))
            made.setAttribute(name, value);
        made.append(...children);
        return made;
    }

    function timeOf(ms) {
        const date = new Date(ms);
        return isNaN(date) ? '?' : date.toISOString().replace('T', ' ').replace(/\.\d+Z$/, '');
    }

    function durationOf(ms) {
        const seconds = ms / 1000;
        if (seconds < 60)
            return seconds.toFixed(1) + ' s';
        const units = seconds < 3600 ? [60, 1, 'm', 's'] : seconds < 86400 ? [3600, 60, 'h', 'm'] : [86400, 3600, 'd', 'h'];
        const whole = Math.floor(seconds / units[0]);
        const rest = Math.floor(seconds % units[0] / units[1]);
        return whole + units[2] + String(rest).padStart(2, '0') + units[3];
    }

    const countOf = (number, one, many) => numbers.format(number) + ' ' + (number === 1 ? one : many);

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

    /* The icicle. */

    const MEASURES = [['leaks', 'leaked'], ['held', 'held now'], ['reaped', 'reaped'], ['late', 'closed late']];

    function treeBy(measure) {
        const root = { name: 'all', value: 0, parent: null, depth: 0, below: new Map() };
        for (const site of data.sites) {
            const value = site[measure];
            if (value === 0)
                continue;
            const frames = site.stack.length > 0 ? site.stack.map(at => data.frames[at]).reverse() : [site.name];
            let node = root;
            node.value += value;
            for (const frame of frames) {
                if (!node.below.has(frame))
                    node.below.set(frame, { name: frame, value: 0, parent: node, depth: node.depth + 1, below: new Map() });
                node = node.below.get(frame);
                node.value += value;
            }
        }
        return root;
    }

    function hueOf(name) {
        let hash = 0;
        for (const character of name)
            hash = (hash * 31 + character.codePointAt(0)) % 3600;
        return hash / 10;
    }

    function icicle() {
        const chart = byId('icicle-chart');
        const select = byId('icicle-measure');
        const ROW = 26, LEAST = 0.002;
        let root, zoomed, focused, buttons;

        const measures = MEASURES.filter(([measure]) => data.sites.some(site => site[measure] > 0));
        if (measures.length === 0)
            return;
        for (const [measure, words] of measures)
            select.append(element('option', { value: measure }, words));
        const words = () => select.selectedOptions[0].textContent;
        const shareOf = node => (100 * node.value / root.value).toFixed(1) + ' %';

        function put(node, row, left, width, outer) {
            const label = node.name + ', ' + numbers.format(node.value) + ' ' + words() + ', ' + shareOf(node) +
                (outer ? ', zoomed into' : '');
            const button = element('button', { type: 'button', title: label, 'aria-label': label, tabindex: '-1' }, width > 0.02 ? node.name : '');
            if (outer)
                button.classList.add('outer');
            if (width <= 0.02)
                button.classList.add('narrow');
            button.style.left = 100 * left + '%';
            button.style.width = 100 * width + '%';
            button.style.top = row * ROW + 'px';
            button.style.setProperty('--hue', hueOf(node.name));
            buttons.set(node, button);
            chart.append(button);
        }

        function putBelow(node, row, left, width) {
            let rows = row;
            const below = [...node.below.values()].sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
            for (const child of below) {
                const its = width * child.value / node.value;
                if (its < LEAST)
                    break;
                put(child, row, left, its, false);
                rows = Math.max(rows, putBelow(child, row + 1, left, its));
                left += its;
            }
            return rows;
        }

        function focus(node, really) {
            const button = buttons.get(node);
            if (!button)
                return;
            if (buttons.get(focused))
                buttons.get(focused).tabIndex = -1;
            focused = node;
            button.tabIndex = 0;
            if (really)
                button.focus();
            byId('icicle-said').textContent = node.name + ': ' + numbers.format(node.value) + ' ' + words() + ', ' + shareOf(node) + ' of all';
        }

        function zoom(node, really) {
            zoomed = node;
            buttons = new Map();
            chart.replaceChildren();
            const outer = [];
            for (let above = node; above; above = above.parent)
                outer.unshift(above);
            outer.forEach((above, row) => put(above, row, 0, 1, above !== root));
            chart.style.height = putBelow(node, outer.length, 0, 1) * ROW + 'px';
            byId('icicle-out').disabled = byId('icicle-all').disabled = node === root;
            focus(node, really);
        }

        function measure() {
            root = treeBy(select.value);
            zoom(root, false);
        }

        const nodeOf = button => [...buttons].find(([, its]) => its === button)?.[0];
        const drawn = nodes => [...nodes].filter(node => buttons.has(node)).sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
        const beside = (node, by) => {
            const all = node.parent ? drawn(node.parent.below.values()) : [node];
            return all[all.indexOf(node) + by] || node;
        };
        const keys = {
            Escape: () => zoom(zoomed.parent || root, true),
            ArrowUp: node => focus(node.parent || node, true),
            ArrowDown: node => focus(drawn(node.below.values())[0] || node, true),
            ArrowLeft: node => focus(beside(node, -1), true),
            ArrowRight: node => focus(beside(node, 1), true),
            Home: () => focus(root, true),
        };
        chart.addEventListener('keydown', event => {
            const node = nodeOf(event.target);
            if (!node || !keys[event.key] || event.altKey || event.ctrlKey || event.metaKey)
                return;
            event.preventDefault();
            keys[event.key](node);
        });
        chart.addEventListener('click', event => {
            const node = nodeOf(event.target.closest('button'));
            if (node)
                zoom(node === zoomed && node.parent ? node.parent : node, true);
        });
        chart.addEventListener('pointerover', event => {
            const node = nodeOf(event.target.closest('button'));
            if (node)
                byId('icicle-said').textContent = node.name + ': ' + numbers.format(node.value) + ' ' + words() + ', ' + shareOf(node) + ' of all';
        });
        chart.addEventListener('focusin', event => focus(nodeOf(event.target), false));
        byId('icicle-out').addEventListener('click', () => zoom(zoomed.parent || root, false));
        byId('icicle-all').addEventListener('click', () => zoom(root, false));
        select.addEventListener('change', measure);
        measure();
        byId('icicle').hidden = false;
    }

    /* The tables that are there already: sorting, and a search in that of the call sites. */

    const valueOf = cell => 'value' in cell.dataset ? Number(cell.dataset.value) : cell.textContent.toLowerCase();
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

    /* The heading's button sorts by its column, and at the next press the other way round. */
    function makeSortable(heading, sort) {
        const button = element('button', { type: 'button' }, ...heading.childNodes);
        heading.append(button);
        button.addEventListener('click', () => {
            const numeric = heading.classList.contains('number');
            const was = heading.getAttribute('aria-sort');
            const now = was === 'descending' || (!was && !numeric) ? 'ascending' : 'descending';
            for (const other of heading.parentNode.children)
                other.removeAttribute('aria-sort');
            heading.setAttribute('aria-sort', now);
            sort(now === 'ascending' ? 1 : -1);
        });
    }

    function sortableTables() {
        for (const table of document.querySelectorAll('table[data-sortable]')) {
            const body = table.tBodies[0];
            [...table.tHead.rows[0].cells].forEach((heading, at) => makeSortable(heading, sign => {
                const rows = [...body.rows].map(row => [valueOf(row.cells[at]), row]);
                rows.sort((a, b) => sign * compare(a[0], b[0]));
                body.append(...rows.map(([, row]) => row));
            }));
        }
    }

    const wordsOf = text => text.toLowerCase().split(/\s+/).filter(word => word);

    function whenTyped(input, search) {
        let waits = 0;
        input.addEventListener('input', () => {
            clearTimeout(waits);
            waits = setTimeout(search, 120);
        });
    }

    function sitesTable() {
        const table = byId('sites-table');
        if (!table)
            return;
        const rows = [...table.tBodies[0].rows];
        const heading = element('th', { scope: 'col' }, 'Over time');
        table.tHead.rows[0].append(heading);
        rows.forEach((row, at) => row.append(element('td', {}, spark(data.sites[at]))));

        const input = element('input', { type: 'search', id: 'sites-search', spellcheck: 'false', autocomplete: 'off' });
        const said = element('p', { id: 'sites-said', role: 'status' }, countOf(rows.length, 'call site', 'call sites'));
        table.closest('.scroll').before(element('p', { class: 'controls' }, element('label', {}, 'Search ', input)), said);
        let texts;
        whenTyped(input, () => {
            const words = wordsOf(input.value);
            let found = 0;
            texts = texts || rows.map(row => row.textContent.toLowerCase());
            rows.forEach((row, at) => {
                row.hidden = !words.every(word => texts[at].includes(word));
                found += !row.hidden;
            });
            said.textContent = numbers.format(found) + ' of ' + countOf(rows.length, 'call site', 'call sites');
        });
    }

    function spark(site) {
        const most = Math.max(1, ...site.levels);
        const svg = drawing('svg', { class: 'spark', viewBox: `0 0 ${site.levels.length} 20`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
        const points = site.levels.map((level, bin) => `${bin},${20 - 20 * level / most} ${bin + 1},${20 - 20 * level / most}`);
        if (points.length > 0)
            svg.append(drawing('path', { d: `M0,20 L${points.join(' L')} L${points.length},20Z` }));
        return svg;
    }

    /* A link to a call site finds it, though a search hides it, and opens it. */
    function openLinked() {
        const row = location.hash.startsWith('#site-') ? byId(location.hash.slice(1)) : null;
        if (!row)
            return;
        row.hidden = false;
        row.querySelector('details').open = true;
        row.querySelector('summary').focus();
        row.scrollIntoView({ block: 'center' });
    }

    /* The single records. */

    const PAGE = 50;
    const COLUMNS = [
        ['Time', row => row[0], row => timeOf(row[0])],
        ['Type', row => data.types[row[1]] || ''],
        ['Process', row => (data.names[row[3]] || '') + '[' + row[4] + ']'],
        ['fd', row => row[5], null, 'number'],
        ['Local', row => row[6]],
        ['Peer', row => row[7]],
        ['Class', row => data.classes[row[8]] || ''],
        ['How', row => data.ways[row[9]] || ''],
        ['Peer gone', row => row[10], row => row[10] > 0 ? durationOf(row[10]) : '', 'number'],
        ['Reaped', row => [data.whys[row[11]], data.outcomes[row[12]]].filter(word => word).join(': ')],
        ['Call site', row => row[2] < 0 ? '' : data.sites[row[2]].name],
    ];

    const shownIn = (column, row) => String(column[2] ? column[2](row) : column[1](row));

    function records() {
        const table = byId('records-table');
        const all = data.records;
        if (all.length === 0)
            return;
        let found = all.map((row, at) => at).reverse();
        let order = null;
        let first = 0;
        let texts = null;

        function show() {
            const body = table.tBodies[0];
            body.replaceChildren();
            for (const at of found.slice(first, first + PAGE)) {
                const row = element('tr');
                for (const column of COLUMNS) {
                    const text = shownIn(column, all[at]);
                    const cell = element('td', {}, column[0] === 'Call site' && text ? element('a', { href: '#site-' + all[at][2] }, text) : text);
                    if (column[3])
                        cell.className = column[3];
                    if (column[0] === 'Call site')
                        cell.className = 'name code';
                    if (['Time', 'Type', 'Local', 'Peer', 'Class'].includes(column[0]))
                        cell.className = 'whole';
                    row.append(cell);
                }
                body.append(row);
            }
            const last = Math.min(found.length, first + PAGE);
            byId('records-said').textContent = found.length === 0 ? 'No record is like that'
                : numbers.format(first + 1) + ' to ' + numbers.format(last) + ' of ' + countOf(found.length, 'record', 'records');
            byId('records-first').disabled = byId('records-previous').disabled = first === 0;
            byId('records-next').disabled = byId('records-last').disabled = last >= found.length;
        }

        function sort() {
            if (!order)
                return;
            const [column, sign] = order;
            const values = all.map(column[1]);
            found.sort((a, b) => sign * compare(values[a], values[b]) || a - b);
        }

        function search() {
            const words = wordsOf(byId('records-search').value);
            const type = byId('records-type').value;
            if (words.length > 0)
                texts = texts || all.map(row => COLUMNS.map(column => shownIn(column, row)).join('\n').toLowerCase());
            found = [];
            for (let at = all.length - 1; at >= 0; at--)
                if ((type === '' || data.types[all[at][1]] === type) && words.every(word => texts[at].includes(word)))
                    found.push(at);
            sort();
            first = 0;
            show();
        }

        const headings = element('tr');
        table.tHead.append(headings);
        for (const column of COLUMNS) {
            const heading = element('th', { scope: 'col', class: column[3] || '' }, column[0]);
            headings.append(heading);
            makeSortable(heading, sign => {
                order = [column, sign];
                sort();
                first = 0;
                show();
            });
        }
        const types = [...new Set(all.map(row => row[1]))].sort((a, b) => a - b);
        byId('records-type').append(element('option', { value: '' }, 'all'), ...types.map(type => element('option', {}, data.types[type])));
        byId('records-type').addEventListener('change', search);
        whenTyped(byId('records-search'), search);
        const lastPage = () => Math.floor((found.length - 1) / PAGE) * PAGE;
        const turn = { first: () => 0, previous: () => first - PAGE, next: () => first + PAGE, last: lastPage };
        for (const [name, to] of Object.entries(turn))
            byId('records-' + name).addEventListener('click', () => {
                first = Math.min(lastPage(), Math.max(0, to()));
                show();
            });
        byId('records-which').textContent = data.told > all.length
            ? 'The latest ' + numbers.format(all.length) + ' of ' + numbers.format(data.told) + ' records.' : 'Every record that tells of a leak or an accept queue.';
        show();
        byId('records').hidden = false;
    }

    /* One that fails must not take the others with it. */
    for (const part of [timeline, icicle, sitesTable, sortableTables, records]) {
        try {
            part();
        } catch (error) {
            console.error(error);
        }
    }
    addEventListener('hashchange', openLinked);
    openLinked();
})();
