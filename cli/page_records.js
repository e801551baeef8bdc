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

/* The name of each, by what it is sorted, as what that is shown, where it differs, and its class. */
const COLUMNS = [
    ['Time', row => row[0], row => timeOf(row[0]), 'whole'],
    ['Type', row => data.types[row[1]] || '', null, 'whole'],
    ['Process', row => (data.names[row[3]] || '') + '[' + row[4] + ']'],
    ['fd', row => row[5], null, 'number'],
    ['Local', row => row[6], null, 'whole'],
    ['Peer', row => row[7], null, 'whole'],
    ['Class', row => data.classes[row[8]] || '', null, 'whole'],
    ['How', row => data.ways[row[9]] || ''],
    ['Peer gone', row => row[10], row => row[10] > 0 ? durationOf(row[10]) : '', 'number'],
    ['Reaped', row => [data.whys[row[11]], data.outcomes[row[12]]].filter(word => word).join(': ')],
    ['Call site', row => row[2] < 0 ? '' : data.sites[row[2]].name, null, 'name code'],
];

const shownIn = (column, row) => String(column[2] ? column[2](row) : column[1](row));

function recordRow(record) {
    const row = element('tr');
    for (const column of COLUMNS) {
        const text = shownIn(column, record);
        const linked = column[0] === 'Call site' && text;
        row.append(element('td', column[3] ? { class: column[3] } : {}, linked ? element('a', { href: '#site-' + record[2] }, text) : text));
    }
    return row;
}

/* Those that were found, in the order that was asked for, a page of them at a time. */
class Records {
    constructor(all) {
        this.all = all;
        this.texts = null; /* what is searched in, made when it is first */
        this.order = null; /* a column and a sign; null: the latest come first */
        this.find('', '');
    }

    find(text, type) {
        const words = wordsOf(text);
        if (words.length > 0)
            this.texts = this.texts || this.all.map(row => COLUMNS.map(column => shownIn(column, row)).join('\n').toLowerCase());
        const isFound = at => (type === '' || data.types[this.all[at][1]] === type) && words.every(word => this.texts[at].includes(word));
        this.found = this.all.map((row, at) => at).filter(isFound).reverse();
        this.sort();
    }

    sort(order) {
        this.order = order || this.order;
        if (this.order) {
            const [column, sign] = this.order;
            const values = this.all.map(column[1]);
            this.found.sort((a, b) => sign * compare(values[a], values[b]) || a - b);
        }
        this.turn(0);
    }

    lastPage() {
        return Math.floor((this.found.length - 1) / PAGE) * PAGE;
    }

    turn(to) {
        this.first = Math.max(0, Math.min(this.lastPage(), to));
        this.show();
    }

    show() {
        const last = Math.min(this.found.length, this.first + PAGE);
        const shown = this.found.slice(this.first, last);
        byId('records-table').tBodies[0].replaceChildren(...shown.map(at => recordRow(this.all[at])));
        byId('records-said').textContent = shown.length === 0 ? 'No record is like that'
            : numbers.format(this.first + 1) + ' to ' + numbers.format(last) + ' of ' + countOf(this.found.length, 'record', 'records');
        byId('records-first').disabled = byId('records-previous').disabled = this.first === 0;
        byId('records-next').disabled = byId('records-last').disabled = last >= this.found.length;
    }
}

function recordHeadings(records) {
    const headings = element('tr');
    for (const column of COLUMNS) {
        const heading = element('th', { scope: 'col', ...(column[3] === 'number' && { class: 'number' }) }, column[0]);
        headings.append(heading);
        makeSortable(heading, sign => records.sort([column, sign]));
    }
    return headings;
}

function listenToRecords(records) {
    const search = () => records.find(byId('records-search').value, byId('records-type').value);
    const turns = {
        first: () => 0, previous: () => records.first - PAGE, next: () => records.first + PAGE, last: () => records.lastPage(),
    };
    byId('records-type').addEventListener('change', search);
    whenTyped(byId('records-search'), search);
    for (const [name, to] of Object.entries(turns))
        byId('records-' + name).addEventListener('click', () => records.turn(to()));
}

function showRecords() {
    const all = data.records;
    if (all.length === 0)
        return;
    const records = new Records(all);
    const types = [...new Set(all.map(row => row[1]))].sort((a, b) => a - b);
    byId('records-table').tHead.append(recordHeadings(records));
    byId('records-type').append(element('option', { value: '' }, 'all'), ...types.map(type => element('option', {}, data.types[type])));
    byId('records-which').textContent = data.told > all.length
        ? 'The latest ' + numbers.format(all.length) + ' of ' + numbers.format(data.told) + ' records.' : 'Every record that tells of a leak or an accept queue.';
    listenToRecords(records);
    byId('records').hidden = false;
}

/* One that fails must not take the others with it. */
for (const part of [timeline, drawIcicle, sitesTable, sortableTables, showRecords]) {
    try {
        part();
    } catch (error) {
        console.error(error);
    }
}
addEventListener('hashchange', openLinked);
openLinked();
